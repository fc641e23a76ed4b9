"""A paused run goes on: somebody allowed says so with a button, or answers in the thread. Once for each pause."""

from __future__ import annotations

from dataclasses import replace

from bot import log
from bot.model.question import MAX_QUESTION, Language, Question
from bot.model.run import Run, State
from bot.slack.intake.desk import Desk
from bot.slack.words import say

logger = log.get(__name__)


async def by_button(paused: Run, user: str, text: str, language: Language, desk: Desk) -> str:
    """Let a paused run go on with `text`. Returns the private line for who pressed, in `language`; "" when it goes on.

    Its reply shows the buttons a moment before it is noted as paused, longer while files are put below it.

    Raises:
        redis.RedisError: when it could not be written down; then it must not be acked.
    """
    if not await desk.people.may_decide(user, paused):
        return not_approver(paused, language, desk)
    if not (paused.state is State.PAUSED or (paused.pending and not paused.state.is_final)):
        return say("over", language)
    question = _going_on(paused, f"resume-{paused.id}", text)
    accepted = await desk.runs.accept(question, decided_by=user)
    if accepted.verdict == "decided":
        return say("decided", language, by=accepted.by)
    if accepted.verdict == "accepted":
        logger.info("decided", run=paused.reference, by=user, goes_on=accepted.run_id[:8])
    return desk.noted(question, accepted, language)


async def by_message(question: Question, run_id: str, event_id: str, desk: Desk) -> bool:
    """A message in a thread whose last run is paused: whether it was taken as the answer the agent waits for.

    Raises:
        redis.RedisError: when it could not be written down; then it must not be acked.
    """
    paused = await desk.runs.get(run_id)
    # RDS Copilot waits for a decision in its console, which no message is.
    if paused is None or paused.state is not State.PAUSED or paused.backend == "rds":
        return False
    if not 0 < len(question.text) <= MAX_QUESTION:
        return False
    if not await desk.people.may_decide(question.user, paused):
        return False
    answer = _going_on(paused, question.ts, question.text)
    accepted = await desk.runs.accept(answer, event_id=event_id, decided_by=question.user)
    if line := desk.noted(answer, accepted):
        desk.tell(question, line)
        return True
    if accepted.verdict == "accepted":
        logger.info("decided", run=paused.reference, by=question.user, goes_on=accepted.run_id[:8])
    # Who was a moment too late asks a question of their own. So does its twin, and is known there.
    return accepted.verdict == "accepted"


def _going_on(paused: Run, ts: str, text: str) -> Question:
    """What goes on is still the question of who asked: theirs to stop, and their cost."""
    return replace(
        paused.question,
        ts=ts,
        text=text,
        surface="resume",
        response_url="",
        backend=paused.backend,
        resumes=paused.id,
    )


def not_approver(paused: Run, language: Language, desk: Desk) -> str:
    """Says who may decide."""
    if desk.people.approvers:
        who = ", ".join(f"<@{user}>" for user in sorted(desk.people.approvers))
        return say("not_approver_listed", language, who=who)
    return say("not_approver", language, who=f"<@{paused.question.user}>")
