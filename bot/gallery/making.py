"""How a state is made: the events an agent would send, drawn by the code that draws real replies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bot.demo.workspace.streams import Content
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply.chunks import Sent, news, opening
from bot.slack.reply.draft import Draft, final_payloads
from bot.slack.reply.files import File
from bot.slack.reply.ladder import Payload

RUN_ID = "7f3a19c25e80456cb1d2a3948576fe01"
Timed = tuple[float, ev.Event]


@dataclass(frozen=True, slots=True)
class Picture:
    """One state: its name for files, its title for people, and what Slack is given; `streams` while it is a stream."""

    name: str
    title: str
    payloads: list[Payload]
    files: list[File] = field(default_factory=list)
    streams: bool = False


def call(
    number: int, api: str, result: str, begun: float, ended: float | None, *, agent: str = "", error: str = ""
) -> list[Timed]:
    """A call of a tool, from its start to its result, or to its being at work when `ended` is None."""
    name = f"c{number}"
    arguments = json.dumps({"command": "execute", "api": api, "params": {"InstanceId": "rm-bp1demo0001"}})
    events: list[Timed] = [
        (begun, ev.ToolCallStart(name, "das_api", agent)),
        (begun, ev.ToolCallArgs(name, arguments, agent)),
        (begun, ev.ToolCallEnd(name, agent)),
    ]
    return events if ended is None else [*events, (ended, ev.ToolCallResult(name, result, agent, error))]


def drafted(events: Iterable[Timed], language: Language, backend: str, agent: str = "") -> Draft:
    draft = Draft(RUN_ID, language, backend, agent=agent)
    for at, event in events:
        draft.answer.apply(event, at)
    return draft


def running(
    title: str,
    events: Iterable[Timed] = (),
    *,
    progress: Progress = Progress("working"),  # noqa: B008 - frozen
    elapsed: float = 0.0,
    heard: float | None = None,
    language: Language = "en",
) -> Picture:
    """A state of a run that goes on; `heard` is when its last event came, in seconds after it was asked."""
    draft = drafted(events, language, "DAS Agent")
    draft.progress = progress
    draft.take_in()
    if heard is not None:
        draft.elapsed = heard
        draft.payload(0)
    draft.elapsed = elapsed
    return Picture(name(title), title, [draft.payload(number) for number in range(draft.count)])


def ended(
    title: str,
    events: list[Timed],
    ending: Ending | None = None,
    *,
    elapsed: float = 19.0,
    language: Language = "en",
    backend: str = "DAS Agent",
    agent: str = "",
    rung: int = 0,
) -> Picture:
    """A state of a run that has ended, in the blocks of a rung of the ladder."""
    draft = drafted(events, language, backend, agent)
    draft.rung = rung
    draft.answer.close(elapsed)
    draft.elapsed = elapsed
    draft.ending = ending or Ending(State.ANSWERED, characters=len(draft.answer.text), estimated=True)
    return Picture(name(title), title, final_payloads(draft), draft.attachments())


def name(title: str) -> str:
    return title.lower().replace(",", "").replace(" ", "-")


def streamed(title: str, events: Sequence[Timed], *, elapsed: float, language: Language = "en") -> Picture:
    """A state of a run whose message is a stream: one call after each event, and what the workspace makes of them."""
    draft = Draft(RUN_ID, language, "DAS Agent")
    draft.progress = Progress("working")
    content, sent = Content(), Sent()
    steps: list[tuple[float, ev.Event | None]] = [(0.0, None), *events, (elapsed, None)]
    for at, event in steps:
        if event is not None:
            draft.answer.apply(event, at)
        draft.elapsed = at
        draft.take_in()
        piece = opening(draft, 0, RUN_ID) if not content.parts else news(draft, 0, sent, RUN_ID)
        assert piece is not None, f"{title} does not fit into a stream"
        content, sent = content.with_chunks(piece.chunks), piece.after
    payload: Payload = {"text": content.text, "blocks": content.blocks("plan")}
    return Picture(name(title), title, [payload], streams=True)
