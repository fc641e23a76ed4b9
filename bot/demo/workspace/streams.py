"""A streamed message: what its chunks make of it, how much it holds and how long it lives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .errors import SlackError

Json = dict[str, Any]

# Slack ends a stream about 300 s after its start, however busy it is.
STREAM_LIFE_SECONDS = 300.0
# Apps were refused between 10,600 and 11,300 bytes; a fixed number in between is what can be tested.
STREAM_BYTES_MAX = 10_800
STREAM_BLOCKS_MAX = 50
PLAN_TASKS_MAX = 50
# Slack stores what a card says of its task twice, as text and as rich text.
TASK_TEXT_WEIGHT = 2
DEFAULT_PLAN_TITLE = "Plan"

Mode = Literal["chunks", "markdown_text"]
Display = Literal["timeline", "plan"]
Ending = Literal["stopped", "expired", "stopped_by_user"]
OPEN_STATUSES = ("pending", "in_progress")


@dataclass(frozen=True)
class Words:
    """Markdown, as far as it has come."""

    text: str


@dataclass(frozen=True)
class Task:
    """A task card; `details` and `output` are what all its chunks gave, one after the other."""

    id: str
    title: str
    status: str
    details: str = ""
    output: str = ""
    sources: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Blocks that stand where their chunk came."""

    blocks: tuple[Json, ...]


Part = Words | Task | Placed


@dataclass(frozen=True)
class Content:
    """What a stream says so far. Adding a chunk gives a new content: a refused call changes nothing."""

    parts: tuple[Part, ...] = ()
    plan_title: str = ""

    def with_chunks(self, chunks: Iterable[Json]) -> "Content":
        """The content after these chunks, which must be well formed."""
        parts, plan_title = list(self.parts), self.plan_title
        for chunk in chunks:
            if chunk["type"] == "markdown_text":
                _add_text(parts, chunk["text"])
            elif chunk["type"] == "task_update":
                _add_task(parts, chunk)
            elif chunk["type"] == "plan_update":
                plan_title = chunk["title"]
            else:
                parts.append(Placed(tuple(chunk["blocks"])))
        return Content(tuple(parts), plan_title)

    @property
    def text(self) -> str:
        """All its Markdown."""
        return "".join(part.text for part in self.parts if isinstance(part, Words))

    @property
    def tasks(self) -> list[Task]:
        """Its task cards, in order of their first chunk."""
        return [part for part in self.parts if isinstance(part, Task)]

    @property
    def placed(self) -> list[Json]:
        """The blocks that came as blocks."""
        return [block for part in self.parts if isinstance(part, Placed) for block in part.blocks]

    @property
    def weight(self) -> int:
        """UTF-8 bytes as Slack counts them: text and titles once, what cards say twice."""
        once = [self.plan_title, self.text, *(task.title for task in self.tasks), *_texts(self.placed)]
        twice = [text for task in self.tasks for text in (task.details, task.output)]
        return _bytes(once) + TASK_TEXT_WEIGHT * _bytes(twice)

    def blocks(self, display: Display) -> list[Json]:
        """The message as it is drawn: cards between the text, or all of them in one plan."""
        drawn: list[Json] = []
        for number, part in enumerate(self.parts):
            if isinstance(part, Words) and drawn and drawn[-1]["type"] == "markdown":
                # Only cards of the plan came in between, and they stand elsewhere.
                drawn[-1]["text"] += part.text
            elif isinstance(part, Words):
                drawn.append({"type": "markdown", "block_id": f"stream-{number}", "text": part.text})
            elif isinstance(part, Placed):
                drawn += part.blocks
            elif display == "timeline":
                drawn.append({"type": "task_card", "block_id": f"stream-{number}", **_card(part)})
            elif part == self.tasks[0]:
                tasks = [_card(task) for task in self.tasks]
                title = self.plan_title or DEFAULT_PLAN_TITLE
                drawn.append({"type": "plan", "block_id": "stream-plan", "title": title, "tasks": tasks})
        return drawn


def _add_text(parts: list[Part], text: str) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Words):
        parts[-1] = Words(last.text + text)
    else:
        parts.append(Words(text))


def _add_task(parts: list[Part], chunk: Json) -> None:
    """Title and status replace what was there; details and output go on where they were."""
    details, output = chunk.get("details") or "", chunk.get("output") or ""
    sources = tuple(chunk.get("sources") or ())
    for number, part in enumerate(parts):
        if isinstance(part, Task) and part.id == chunk["id"]:
            parts[number] = replace(
                part,
                title=chunk["title"],
                status=chunk["status"],
                details=part.details + details,
                output=part.output + output,
                sources=sources or part.sources,
            )
            return
    parts.append(Task(chunk["id"], chunk["title"], chunk["status"], details, output, sources))


def _card(task: Task) -> Json:
    """A task as a block or plan carries it."""
    card: Json = {"task_id": task.id, "title": task.title, "status": task.status}
    for name, text in (("details", task.details), ("output", task.output)):
        if text:
            section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
            card[name] = {"type": "rich_text", "elements": [section]}
    return card | ({"sources": list(task.sources)} if task.sources else {})


def _texts(value: Any) -> list[str]:
    """Every `text` below a value, in order."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for item in value.values() for text in _texts(item)]


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) for text in texts)


@dataclass
class Stream:
    """The streaming side of a message, from chat.startStream on."""

    clock: Callable[[], float]
    recipient: str
    """The person it is streamed to; empty in a direct message that named none."""
    display: Display = "timeline"
    mode: Mode | None = None
    """Chunks or bare Markdown; decided by the first call that brings something."""
    content: Content = field(default_factory=Content)
    replaced: bool = False
    """True once chat.update has put something else in its place."""
    started: float = field(init=False)
    _ended: Ending | None = None

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def ends_at(self) -> float:
        """When Slack ends it, unless somebody does before."""
        return self.started + STREAM_LIFE_SECONDS

    @property
    def ended(self) -> Ending | None:
        """How it ended, or None while it is open."""
        if self._ended is None and self.clock() >= self.ends_at:
            return "expired"
        return self._ended

    @property
    def is_open(self) -> bool:
        """True while it takes chunks and refuses chat.update."""
        return self.ended is None

    @property
    def unfinished(self) -> list[str]:
        """The ids of tasks that are neither complete nor failed."""
        return [task.id for task in self.content.tasks if task.status in OPEN_STATUSES]

    @property
    def looks_failed(self) -> bool:
        """True when it ended with a task still open: Slack then draws the whole message as failed."""
        return not self.is_open and not self.replaced and bool(self.unfinished)

    def end(self, how: Ending) -> None:
        """Closes it for good; an end that has already come stays."""
        self._ended = self.ended or how

    def require_open(self, *, appending: bool = False) -> None:
        """Raises `SlackError` once it has ended; only an append is told that a person stopped it."""
        if self.ended == "stopped_by_user" and appending:
            raise SlackError("stopped_by_user")
        if not self.is_open:
            raise SlackError("message_not_in_streaming_state")

    def take(self, mode: Mode, chunks: list[Json], more: Iterable[Json] = ()) -> Content:
        """The content with these chunks; `more` are the blocks of chat.stopStream. Nothing is kept yet.

        Raises `SlackError` with `streaming_mode_mismatch`, `invalid_chunks` or `msg_too_long`.
        """
        if self.mode not in (None, mode):
            raise SlackError("streaming_mode_mismatch")
        content = self.content.with_chunks(chunks)
        if self.display == "plan" and len(content.tasks) > PLAN_TASKS_MAX:
            raise SlackError("invalid_chunks", [f"[ERROR] a plan has at most {PLAN_TASKS_MAX} tasks"])
        if content.weight + _bytes(_texts(list(more))) > STREAM_BYTES_MAX:
            raise SlackError("msg_too_long")
        return content
