"""How runs end: which state, and the plain sentence for it."""

from __future__ import annotations

from dataclasses import replace

from bot import log
from bot.model.answer import Answer
from bot.model.ending import Ending
from bot.model.run import Run, State
from bot.relay.parts import DEADLINE, Parts
from bot.upstream.errors import UpstreamError

logger = log.get(__name__)

_ACTIONS = {"das": "hdm:Chat", "das-legacy": "hdm:GetDasAgentSSE", "rds": "rdsai:ChatMessages"}
"""The RAM action that a question takes, by service: the one that is missing when an answer does not name another."""
_OUTPUT_ONLY = frozenset({"das-legacy"})
"""Services that bill what the agent writes, and not what it is asked: GetDasAgentSSE."""


def stopped(run: Run, parts: Parts, by: str, *, for_good: bool) -> Ending:
    """Somebody stopped it. `for_good`: the service has ended the run, too; else nobody listens any more."""
    words = "stopped_early"
    if run.question.resumes:
        # Only RDS Copilot's consents are given elsewhere; DAS Agent asks here.
        words = "stopped_decided" if run.backend == "rds" else "stopped_unanswered"
    if run.may_have_begun:
        words = "stopped_for_good" if for_good else "stopped"
    return Ending(State.STOPPED, parts.sentences.say(words, run.question.language, by=by), by)


def interrupted(run: Run, parts: Parts) -> Ending:
    """The process ended, or its predecessor died, after the question was asked."""
    return Ending(State.INTERRUPTED, parts.sentences.say("interrupted", run.question.language))


def is_stale(run: Run, parts: Parts, *, after: float = 0.0) -> bool:
    """Whether it waited too long to be asked still, or will have `after` so many seconds more."""
    return parts.wall() + after - run.accepted_at > parts.max_age


def stale(run: Run, parts: Parts) -> Ending:
    """It waited too long and was not asked."""
    minutes = round(parts.max_age / 60)
    return Ending(State.FAILED, parts.sentences.say("stale", run.question.language, minutes=minutes))


def is_outdated(run: Run, parts: Parts) -> bool:
    """Whether it was asked so long ago that its answer is news to nobody: nobody has had it for the time a run may take
    and, on top, the time a question may wait."""
    deadline = parts.deadlines.get(run.backend, DEADLINE)
    return parts.wall() - run.asked_at > parts.max_age + deadline


def outdated(run: Run, parts: Parts) -> Ending:
    """The bot was away for so long that its answer is not looked for."""
    return Ending(State.INTERRUPTED, parts.sentences.say("outdated", run.question.language))


def unshown(run: Run, parts: Parts) -> Ending:
    """Nothing can be shown where it was asked. What nobody can read is not asked."""
    words = "unshown" if run.may_have_begun else "unasked"
    channel = run.question.thread.channel
    return Ending(
        State.FAILED,
        parts.sentences.say(words, run.question.language, channel=channel, reference=run.reference),
    )


def told(answer: Answer, run: Run, parts: Parts, *, forgotten: bool) -> Ending:
    """The stream ended by itself: what it said. `forgotten`: it was asked anew, without what was said before."""
    if answer.error:
        return failed(UpstreamError(answer.error.code, answer.error.message, begun=True), run, parts)
    if answer.is_paused:
        asked = answer.approval.call_id if answer.approval else ""
        is_undecided = bool(run.question.resumes) and asked and asked == run.pending
        reason = parts.sentences.say("not_decided", run.question.language) if is_undecided else ""
        return Ending(State.PAUSED, reason)
    note = "session_gone" if forgotten else ""
    if answer.is_cut:
        note = "too_much"
    elif not answer.has_text:
        note = "nothing"
    return Ending(State.ANSWERED, parts.sentences.say(note, run.question.language) if note else "")


def failed(error: UpstreamError, run: Run, parts: Parts) -> Ending:
    """The service refused, broke off, or said that it failed."""
    logger.warning(
        "upstream failed",
        run=run.reference,
        code=error.code,
        reason=error.message,
        request_id=error.request_id,
        status=error.status,
        begun=error.begun,
    )
    error.action = error.action or _ACTIONS.get(run.backend, "")
    return Ending(State.FAILED, parts.sentences.explain(error, run.question.language))


def spent(sentence: str) -> Ending:
    """A daily budget was used up when its turn came: it was not asked."""
    return Ending(State.FAILED, sentence)


def with_cost(ending: Ending, answer: Answer, run: Run, carried: int) -> Ending:
    """The ending with what it cost, which is noted in the run as well: the service's figure, or an estimate.

    `carried` characters of the answer are of an earlier run. The ending tells of both, the run of its own.
    """
    if not run.may_have_begun:
        if not run.spent_before:
            return ending
        return replace(ending, characters=run.spent_before, estimated=run.estimated_before)
    note_cost(answer, run, carried)
    shown = run.spent_before + run.characters
    return replace(ending, characters=shown, estimated=run.estimated or run.estimated_before)


def note_cost(answer: Answer, run: Run, carried: int) -> None:
    """Note in the run what it has cost so far: the service's figure, or an estimate. See `with_cost`."""
    said = answer.usage.characters if answer.usage else None
    run.estimated = said is None
    # The services count what goes in and what comes out, tools' results not among it. Of what a dead worker had read
    # only the record knows.
    asked = 0 if run.backend in _OUTPUT_ONLY else len(run.question.text)
    run.characters = asked + max(len(answer.text) - carried, run.came) if said is None else said
