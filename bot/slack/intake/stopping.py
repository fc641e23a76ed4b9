"""Stop: by the button, by the word, or by Slack's own control. For who asked, and for admins and approvers."""

from __future__ import annotations

from typing import Any

from bot.model.question import Question, Thread
from bot.slack.access import Visit
from bot.slack.intake.desk import Desk
from bot.slack.reply.characters import shortened
from bot.slack.reply.safe import mrkdwn
from bot.slack.words import say
from bot.store.wishes import Rank, StopTarget

_NAMED_MOST = 80
"""Characters of a question that tell which one it is."""


async def by_word(question: Question, desk: Desk) -> None:
    """A message that says "stop": what the thread's current run was when it was written, or the author's own.

    At the top of a direct message, where there is no thread to go by, it means the newest one at work there.

    Raises:
        redis.RedisError: when it could not be written down; then it must not be acked.
    """
    user, thread = question.user, question.thread
    is_top = question.surface == "dm" and question.ts == thread.thread_ts
    if is_top:
        newest = await desk.wishes.newest_at_work(thread.team, thread.channel, user)
        target = await desk.wishes.mean(thread, question.ts, newest)
    else:
        target = await _target(thread, question.ts, user, desk, addressed=question.surface != "thread")
    stopping = await desk.stop(target.run_id, user) == "stopping" if target.run_id else False
    if not target.is_news or (stopping and not is_top):
        return
    language = await desk.people.language_of_word(question.text, user)
    if stopping:
        run = await desk.runs.get(target.run_id)
        text = mrkdwn(shortened(run.question.text, _NAMED_MOST)) if run else "…"
        desk.tell(question, say("stopping", language, question=text))
    elif target.owner:
        desk.tell(question, say("not_yours", language, owner=target.owner))
    elif target.run_id:
        desk.tell(question, say("over", language))
    else:
        desk.tell(question, say("nothing_here" if is_top else "nothing_running", language))


async def by_slack(event: dict[str, Any], visit: Visit, desk: Desk) -> None:
    """Slack's own Stop, which has ended the streams already. The work goes on until we end it, too.

    Raises:
        redis.RedisError: when it could not be written down; then it must not be acked.
    """
    thread_ts = str(event.get("thread_ts") or "")
    if not (thread_ts and visit.user and visit.channel):
        return
    # The event does not say where whoever pressed is at home.
    if key := await desk.people.refusal(visit):
        if key == "not_known":
            # Perhaps who asked: they see the stream end, and the answer go on.
            line = say(key, await desk.people.language(visit.user))
            desk.notices.tell(visit.channel, visit.user, line, thread_ts)
        return
    thread = Thread(desk.team, visit.channel, thread_ts)
    # One press is one event_ts; its redeliveries mean the same run.
    press = f"stopped-{event.get('event_ts') or event.get('ts') or ''}"
    target = await _target(thread, press, visit.user, desk, addressed=False)
    if target.run_id:
        await desk.stop(target.run_id, visit.user)
        desk.notices.settle(visit.channel, thread_ts)
    elif target.is_news and target.owner:
        language = await desk.people.language(visit.user)
        line = say("not_yours", language, owner=target.owner)
        desk.notices.tell(visit.channel, visit.user, line, thread_ts)


async def _target(thread: Thread, ts: str, user: str, desk: Desk, *, addressed: bool) -> StopTarget:
    target = await desk.wishes.stop_target(thread, ts, user, "unknown", addressed=addressed)
    if target.owner:
        # Only now does it matter who they are.
        rank: Rank = "admin" if await desk.people.may_stop_others(user) else "other"
        target = await desk.wishes.stop_target(thread, ts, user, rank, addressed=addressed)
    return target
