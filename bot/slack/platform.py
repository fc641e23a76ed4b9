"""Slack as the relay sees it: replies, and the root messages of commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial

from bot import log
from bot.model.run import Run
from bot.relay.reply import CannotPostError, Save
from bot.slack.access import Access, Visit, home_of
from bot.slack.budget import Priority
from bot.slack.client import SlackClient, SlackError, UncertainError
from bot.slack.notices import Notices
from bot.slack.reply.asks import CONSOLE
from bot.slack.reply.line import CLOCKS_APART
from bot.slack.reply.safe import mrkdwn
from bot.slack.reply.writer import SlackReply
from bot.slack.words import say

logger = log.get(__name__)

_ROOT_TYPE = "das_bot_question"
_ROOT_MOST = 2_500
"""Characters of a question that its root message shows."""
_NOT_INVITED = frozenset({"not_in_channel", "channel_not_found"})
_TRIES = 8
"""Tries to post a root message: with the pauses between them, a minute of an absent Slack."""
_LONGEST_PAUSE = 15.0
"""Seconds between two tries, at most."""


class SlackPlatform:
    """Implements `bot.relay.reply.Platform`.

    `names` are the services' in the footers, by key; `console` is the address where RDS Copilot's consents are given.
    """

    def __init__(
        self,
        client: SlackClient,
        notices: Notices,
        names: Mapping[str, str],
        access: Access,
        *,
        console: str = CONSOLE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._notices = notices
        self._names = names
        self._access = access
        self._console = console
        self._sleep = sleep

    def reply(self, run: Run, save: Save) -> SlackReply:
        """The reply to a run."""
        return SlackReply(self._client, run, save, self._names, console=self._console)

    def excuse(self, run: Run, line: str) -> None:
        """Tell who asked in their direct messages what cannot be said in the run's thread."""
        if not self._client.is_shut_out:
            self._notices.write_to(run.question.user, line)

    async def open_thread(self, run: Run, save: Save) -> str:
        """Post "@who asked: …" for a command; returns its ts. After an uncertain post, looks before posting again.

        Raises:
            CannotPostError: when the bot may not post there, or the asker may not ask; they have been told privately.
        """
        question = run.question
        channel = question.thread.channel
        if not run.posting:
            # Who took over from a dead worker finds an asker already admitted, and maybe the root already posted.
            await self._admit(run)
        shown = question.text if len(question.text) <= _ROOT_MOST else question.text[:_ROOT_MOST] + "…"
        text = say("asked", question.language, user=question.user, text=mrkdwn(shown))
        for attempt in range(_TRIES):
            if attempt:
                await self._sleep(min(0.5 * 2**attempt, _LONGEST_PAUSE))
            try:
                # A post of an earlier try, or of a worker that died, may have arrived.
                if run.posting and (ts := await self._posted_root(run)):
                    return ts
                run.posting = True
                response = await self._client.call(
                    "chat.postMessage",
                    channel,
                    Priority.FIRST_WORDS,
                    run.id,
                    lambda: {
                        "text": text,
                        "unfurl_links": False,
                        "unfurl_media": False,
                        "metadata": {"event_type": _ROOT_TYPE, "event_payload": {"run": run.id}},
                    },
                    # Written down before the post leaves: whoever takes over after a crash looks for it first.
                    before=save,
                )
            except UncertainError as error:
                logger.warning("root message uncertain", run=run.reference, reason=str(error))
                continue
            except SlackError as error:
                key = "invite" if error.code in _NOT_INVITED else "wrong"
                await self._refuse(run, key)
                raise CannotPostError(str(error)) from None
            return str(response["ts"])
        await self._refuse(run, "wrong")
        raise CannotPostError("no answer")

    async def _refuse(self, run: Run, key: str) -> None:
        language = run.question.language
        reference = say("reference", language, reference=run.reference)
        await self._notices.respond(run.question.response_url, say(key, language, reference=reference))

    async def _admit(self, run: Run) -> None:
        """Refuse an outsider. A command names the workspace it came through, not the home of who typed it."""
        question = run.question
        if self._access.allow_external:
            return
        key, reason = "", "outsider"
        try:
            answer = await self._client.insist(
                "users.info",
                question.thread.channel,
                Priority.FIRST_WORDS,
                run.id,
                lambda: {"user": question.user},
                sleep=self._sleep,
            )
            home = home_of(answer.get("user") or {}, self._access.enterprise)
            key = self._access.refusal(Visit(question.user, home, question.thread.channel, shared=True))
        except UncertainError as error:
            key, reason = "wrong", str(error)
        except SlackError as error:
            # Closed when in doubt. With missing_scope the app has to be installed again from manifest.yml.
            key, reason = "not_known", str(error)
            logger.error("cannot tell whose person asked", run=run.reference, reason=reason)
        if key:
            await self._refuse(run, key)
            raise CannotPostError(f"{key}: {reason}")

    async def _posted_root(self, run: Run) -> str:
        """The ts of the root message that may have been posted, "" when it is not in the channel.

        Raises:
            SlackError: when Slack does not tell. Not known is not "not there".
        """
        async with aclosing(self._roots(run)) as roots:
            return await anext(roots, "")

    async def _roots(self, run: Run) -> AsyncGenerator[str, None]:
        """The ts of every root message of a run."""
        messages = self._client.messages(
            "conversations.history",
            run.question.thread.channel,
            run.id,
            {"include_all_metadata": True, "oldest": f"{run.accepted_at - CLOCKS_APART:.6f}"},
            sleep=self._sleep,
        )
        async with aclosing(messages) as listed:
            async for message in listed:
                if (message.get("metadata") or {}).get("event_payload") == {"run": run.id}:
                    yield str(message["ts"])

    async def withdraw_roots(self, run: Run) -> None:
        """Take away root messages that were posted late for a run: all but that of its thread."""
        thread = run.question.thread
        try:
            for ts in [ts async for ts in self._roots(run) if ts != thread.thread_ts]:
                logger.warning("a late root message is taken away", run=run.reference)
                delete: Callable[[], dict[str, str]] = partial(dict, ts=ts)
                await self._client.insist(
                    "chat.delete", thread.channel, Priority.FIRST_WORDS, run.id, delete, sleep=self._sleep
                )
        except SlackError as error:
            logger.warning("a late root message may stand", run=run.reference, reason=str(error))
