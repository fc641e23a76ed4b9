"""What the tests of a streamed reply share: runs as the relay does them, in virtual time, and a look at what came."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.slack.reply.writer import SlackReply
from tests.bench import virtual
from tests.bench.ground import Slack
from tests.bench.virtual import now

WORKING, DONE = Progress("working"), Ending(State.ANSWERED)
START, APPEND, STOP, UPDATE = "chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"
Script = Iterable[tuple[float, ev.Event]]


def words(text: str, seconds: float, size: int = 8) -> Script:
    """A text in pieces, evenly over so many seconds."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [(seconds / len(pieces), ev.TextMessageContent("m", piece)) for piece in pieces]


def tool(name: str, seconds: float, error: str = "") -> Script:
    return [
        (0.1, ev.ToolCallStart(name, "das_api")),
        (0.1, ev.ToolCallArgs(name, json.dumps({"api": f"Get{name}"}))),
        (0.1, ev.ToolCallEnd(name)),
        (seconds, ev.ToolCallResult(name, "" if error else "[1, 2]", error=error)),
    ]


async def live(slack: Slack, run: Run, script: Script, **more: Any) -> SlackReply:
    """A run as the relay does it."""
    reply, answer = slack.reply(run, **more), Answer()
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    for pause, event in script:
        await asyncio.sleep(pause)
        answer.apply(event, now())
        reply.show(answer, WORKING)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    answer.close(now())
    await reply.finish(answer, DONE)
    return reply


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test as a plain function that runs in virtual time."""

    def plain(**arguments: Any) -> None:
        virtual.run(lambda: test(**arguments))

    plain.__name__, plain.__doc__ = test.__name__, test.__doc__
    plain.pytestmark = getattr(test, "pytestmark", [])  # type: ignore[attr-defined]
    plain.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return plain


def markdown(slack: Slack, run: Run) -> str:
    blocks = [block for message in slack.shown(run) for block in message.blocks or []]
    return "".join(block["text"] for block in blocks if block["type"] == "markdown")


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def complete(slack: Slack, run: Run, text: str, messages: int = 1) -> None:
    """The answer stands there whole, once, in its final layout, in so many messages, and no stream is open."""
    shown = slack.shown(run)
    assert len(shown) == messages and [message.ts for message in shown] == run.reply_ts
    assert squeezed(markdown(slack, run)) == squeezed(text)
    assert all(message.stream is None or not message.stream.is_open for message in shown)
    assert "run_again" in json.dumps(shown[-1].blocks) and "run_stop" not in json.dumps(shown[-1].blocks)
    assert not any(message.stream and message.stream.looks_failed for message in shown)


def streamed(slack: Slack, run: Run) -> str:
    """The text a stream was sent, start and end included."""
    calls = [c for c in slack.calls if c.method in (START, APPEND, STOP) and c.result in ("ok", "lost")]
    chunks = [chunk for call in calls for chunk in call.arguments.get("chunks", [])]
    return "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")
