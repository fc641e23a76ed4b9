"""A paused run goes on: somebody allowed says so with a button, or answers in the thread. Once for each pause."""

from __future__ import annotations

import json
from dataclasses import replace

from bot import log
from bot.model.question import MAX_QUESTION, Language, Question
from bot.model.run import Run, State, reference
from bot.slack.access import Visit
from bot.slack.intake.desk import Desk
from bot.slack.reply.asks import without_choice
from bot.slack.words import say
from bot.store.runs import Accepted

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
    question = _going_on(paused, f"resume-{paused.id}", text, user)
    accepted = await desk.runs.accept(question, decided_by=user)
    if accepted.verdict == "decided":
        return say("decided", language, by=accepted.by)
    return _noted(paused, question, accepted, language, desk)


async def answered(question: Question, run_id: str, visit: Visit, desk: Desk) -> Run | None:
    """The paused run that a message in its thread answers; None when it is no answer, or not from who may decide.

    Raises:
        redis.RedisError: when the store is away; then the message must not be acked.
    """
    paused = await desk.runs.get(run_id)
    # RDS Copilot waits for a decision in its console, which no message is.
    if paused is None or paused.state is not State.PAUSED or paused.backend == "rds":
        return None
    if not 0 < len(question.text) <= MAX_QUESTION:
        return None
    if await desk.people.refusal_to_act(visit) or not await desk.people.may_decide(question.user, paused):
        return None
    return paused


async def by_message(question: Question, paused: Run, event_id: str, desk: Desk) -> bool:
    """Let a paused run go on with a message that answers it; whether it was taken as that.

    Raises:
        redis.RedisError: when it could not be written down; then it must not be acked.
    """
    answer = _going_on(paused, question.ts, question.text, question.user)
    accepted = await desk.runs.accept(answer, event_id=event_id, decided_by=question.user)
    if line := _noted(paused, answer, accepted, answer.language, desk):
        desk.tell(question, line)
        return True
    # Who was a moment too late asks a question of their own. So does its twin, and is known there.
    return accepted.verdict == "accepted"


async def in_words(run_id: str, question: Question, desk: Desk) -> None:
    """The paused run was answered with a question of its own: its reply offers nothing to press any more.

    Raises:
        redis.RedisError: when it could not be written down; then the message must not be acked.
    """
    paused = await desk.runs.get(run_id)
    if paused is None or not await desk.wishes.answer(run_id, question.user):
        return
    logger.info("answered in words", run=paused.reference, by=question.user)
    shown = json.loads(paused.shown or "{}")
    if paused.reply_ts and "blocks" in shown:
        note = say("answered_in_words", paused.question.language, by=question.user)
        blocks = without_choice(shown["blocks"], note)
        desk.notices.rewrite(question.thread.channel, paused.reply_ts[-1], blocks, str(shown.get("text", "")))


def _noted(paused: Run, question: Question, accepted: Accepted, language: Language, desk: Desk) -> str:
    """`Desk.noted` for what lets a run go on: who decides hears also that another question goes first."""
    if accepted.verdict == "accepted":
        logger.info(
            "decided", run=paused.reference, by=question.resumed_by, goes_on=reference(accepted.run_id)
        )
    line = desk.noted(question, accepted, language)
    if not line and accepted.verdict == "accepted" and accepted.ahead:
        return say("decided_waits", language)
    return line


def _going_on(paused: Run, ts: str, text: str, user: str) -> Question:
    """What goes on is still the question of who asked: theirs to stop, their cost, and their language."""
    return replace(
        paused.question,
        ts=ts,
        text=text,
        surface="resume",
        response_url="",
        backend=paused.backend,
        resumes=paused.id,
        resumed_by=user,
        answer_in=paused.question.language,
    )


def not_approver(paused: Run, language: Language, desk: Desk) -> str:
    """Says who may decide."""
    if desk.people.approvers:
        who = ", ".join(f"<@{user}>" for user in sorted(desk.people.approvers))
        return say("not_approver_listed", language, who=who)
    return say("not_approver", language, who=f"<@{paused.question.user}>")
