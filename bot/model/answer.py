"""The fold: events in, the state of one answer out. No clock, no I/O; the time of an event comes with it.

`Answer.apply` takes events in the order they arrive and tolerates any order a service may send them in: a
call is created by whichever of its frames comes first, and a state only moves forward. Text is kept as
pieces, so that whoever shows the answer reads only what is new (`text_after`).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from bot.model import event as ev
from bot.model.call import CallState, ToolCall, events_of
from bot.model.held import Held, Room

TEXT_MOST = 2_000_000
"""Characters kept of all messages of an answer: some hundred times the longest report seen, and twice what a file of
one shows."""
THINKING_MOST = 200_000
"""Characters kept of what the agent thinks aloud; its fold shows the beginning."""
PART_MOST = 200_000
"""Characters kept of one call's arguments, and of its result."""
PARTS_MOST = 2_000_000
"""Characters kept of all calls' arguments and results together: twice what a file of them shows."""
CALLS_MOST = 1_000
"""Tool calls kept, and sub-agents; a diagnosis makes some tens."""
SOURCES_MOST = 1_000
"""Documents kept; a reply names the first few, and counts the rest."""


UNFINISHED = "unfinished"
"""The status of a step that the run's end cut off."""


@dataclass(slots=True)
class Step:
    """A sub-agent at work inside the run; its tool calls are those with its `agent_id`."""

    name: str
    label: str
    agent_id: str
    parent_agent_id: str
    call_id: str
    started_at: float
    status: str = ""
    ended_at: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the service's word for its end means failure."""
        return self.status.lower() in {"failed", "error", "cancelled", "canceled", "timeout"}


@dataclass(slots=True)
class _Message:
    role: str
    agent_id: str
    is_answer: bool
    """Whether it belongs to the answer: the assistant's, and the root agent's."""
    parent_agent_id: str = ""
    pieces: list[str] = field(default_factory=list)


class Answer:
    """Everything known about one answer so far.

    Attributes:
        calls: tool calls by id, in order of appearance.
        failures: how many of the calls have failed.
        steps: sub-agents in order of appearance.
        run_id, session_id, message_id: the service's own names, "" until it said them.
        sources: documents the answer draws on, each once.
        approval: a tool call that waits for a decision in the service's console, None when none does.
        interrupt: what the agent asks the person, None when it asks nothing.
        activity: the last sign of life ("waiting_for_agent_thinking", "thinking"), "" after new text.
        usage: what the service said the run cost; None until it said.
        finished: the service said the answer is complete.
        error: the service said the run failed, and why.
        unknown: how often each undocumented frame type came.
        is_cut: whether text or tool calls came that are not kept, because there were too many.
        revision: grows with every event that changed something.
        work_revision: grows with every event that changed a tool call or a sub-agent.
    """

    def __init__(self) -> None:
        self.run_id = ""
        self.session_id = ""
        self.message_id = ""
        self.calls: dict[str, ToolCall] = {}
        self.failures = 0
        self.steps: list[Step] = []
        self.sources: list[ev.Source] = []
        self.approval: ev.ApprovalAsked | None = None
        self.interrupt: ev.InterruptRaised | None = None
        self.activity = ""
        self.usage: ev.Usage | None = None
        self.finished = False
        self.error: ev.RunError | None = None
        self.unknown: dict[str, int] = {}
        self.is_cut = False
        self.revision = 0
        self.work_revision = 0
        self.started = False
        self._messages: dict[str, _Message] = {}
        self._last_text: _Message | None = None
        self._pieces: list[str] = []
        self._text_room, self._parts_room = Room(TEXT_MOST), Room(PARTS_MOST)
        self._thinking = Held(THINKING_MOST, Room(THINKING_MOST))
        self._nested: dict[int, list[ToolCall]] = {}
        self._nested_at = -1
        self._epoch = 0
        self._stale = False
        self._closed = False

    # -- reading ---------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The root agent's answer in Markdown, its messages in order of appearance."""
        return "".join(self._log())

    def text_after(self, mark: tuple[int, int]) -> tuple[str, tuple[int, int], bool]:
        """The text that came since `mark`, the next mark, and whether to begin anew.

        Text nearly always grows at its end, and then only what is new is touched. A late piece of an earlier
        message changes the middle; then the whole text is returned and the last value is True. Begin with the
        mark (0, 0).
        """
        pieces = self._log()
        epoch, position = mark
        anew = epoch != self._epoch
        new = "".join(pieces if anew else pieces[position:])
        return new, (self._epoch, len(pieces)), anew

    @property
    def has_text(self) -> bool:
        """Whether the first words have come."""
        return bool(self._log())

    @property
    def thinking(self) -> str:
        """What the agent thought aloud so far."""
        return self._thinking.text

    @property
    def is_paused(self) -> bool:
        """Whether it goes on only after a person's decision."""
        return bool(self.approval or self.interrupt) and not self.error

    @property
    def open_call(self) -> ToolCall | None:
        """The call that is at work now: the newest one without a result."""
        return next((call for call in reversed(self.calls.values()) if call.is_open), None)

    @property
    def open_step(self) -> Step | None:
        """The sub-agent that is at work now: the newest one that has not ended."""
        return next((step for step in reversed(self.steps) if step.ended_at is None), None)

    def calls_of(self, step: Step) -> list[ToolCall]:
        """The tool calls a sub-agent made."""
        if self._nested_at != self.work_revision:
            self._nested, self._nested_at = self._nest(), self.work_revision
        return self._nested.get(id(step), [])

    def _nest(self) -> dict[int, list[ToolCall]]:
        """Calls by the step they belong to: of an agent that is sent out twice, the latest that had begun."""
        turns: dict[str, list[Step]] = {}
        for step in self.steps:
            if step.agent_id:
                turns.setdefault(step.agent_id, []).append(step)
        nested: dict[int, list[ToolCall]] = {}
        for call in self.calls.values():
            if steps := turns.get(call.agent_id):
                later = bisect_right(steps, call.started_at or 0.0, lo=1, key=lambda step: step.started_at)
                nested.setdefault(id(steps[later - 1]), []).append(call)
        return nested

    def events(self) -> list[tuple[float, ev.Event]]:
        """The fewest events, with their times, that fold into this answer while it was open: its end, what it cost and
        what it waits for are not among them."""
        start = min((call.started_at or 0.0 for call in self.calls.values()), default=0.0)
        found: list[tuple[float, ev.Event]] = [
            (start, ev.RunStarted(self.run_id, self.session_id, self.message_id))
        ]
        for step in self.steps:
            begun = ev.StepStarted(step.name, step.label, step.agent_id, step.parent_agent_id, step.call_id)
            found.append((step.started_at, begun))
        for message_id, message in self._messages.items():
            begin = ev.TextMessageStart(message_id, message.role, message.agent_id, message.parent_agent_id)
            found.append((start, begin))
            if message.pieces:
                text = "".join(message.pieces)
                found.append((start, ev.TextMessageContent(message_id, text, message.agent_id)))
        for call in self.calls.values():
            found += events_of(call)
        found += [
            (step.ended_at, ev.StepFinished(step.name, step.status, step.agent_id))
            for step in self.steps
            if step.ended_at is not None and step.status != UNFINISHED
        ]
        found += [(start, source) for source in self.sources]
        if self.thinking:
            found.append((start, ev.Reasoning(self.thinking)))
        return found

    # -- folding ---------------------------------------------------------------------------------------

    def apply(self, event: ev.Event, at: float) -> None:
        """Fold one event in. `at` is when it arrived, in seconds on any one clock. Never raises."""
        self.revision += 1
        self.started = True
        match event:
            case ev.TextMessageContent():
                self._text(event)
            case ev.TextMessageStart():
                self._text_start(event)
            case (
                ev.ToolCallStart()
                | ev.ToolCallArgs()
                | ev.ToolCallEnd()
                | ev.ToolCallChunk()
                | ev.ToolCallResult()
            ):
                self._call(event, at)
            case ev.StepStarted():
                self._step_started(event, at)
            case ev.StepFinished():
                self._step_finished(event, at)
            case ev.Activity(kind):
                self.activity = kind
            case ev.Reasoning(delta):
                self.activity = "thinking"
                self._thinking.add(delta)
            case ev.TextMessageReplaced():
                self._replace(event)
            case ev.Source():
                if len(self.sources) < SOURCES_MOST and event not in self.sources:
                    self.sources.append(event)
            case ev.ApprovalAsked():
                self.approval = event
            case ev.InterruptRaised():
                self.interrupt = event
            case ev.Usage():
                self._usage(event)
            case ev.RunStarted():
                self.run_id = event.run_id or self.run_id
                self.session_id = event.session_id or self.session_id
                self.message_id = event.message_id or self.message_id
            case ev.RunFinished():
                self.finished = True
                self.close(at)
            case ev.RunError():
                self.error = self.error or event
                self.close(at)
            case ev.Unknown(kind):
                self.unknown[kind] = self.unknown.get(kind, 0) + 1
            case ev.TextMessageEnd():
                pass  # Nothing waits for the end of a message: the next one, or the end of the run, tells.
        if self._closed:
            self._close_open(at)  # What comes after the end cannot be at work.

    def go_on(self) -> None:
        """Another stream goes on with it, and may tell again what is asked of the calls there are."""
        for call in self.calls.values():
            call.is_asked = bool(call.arguments)

    def close(self, at: float) -> None:
        """The run is over, however it ended: what is still open stays unfinished."""
        self.revision += 1
        self._closed = True
        self._close_open(at)

    def _close_open(self, at: float) -> None:
        self.work_revision += 1
        self.activity = ""
        if self.is_paused:
            return  # What waits for a person has not ended.
        for call in self.calls.values():
            if call.is_open:
                call.revision += 1
                call.advance(CallState.UNFINISHED, at)
        for step in self.steps:
            if step.ended_at is None:
                step.ended_at, step.status = at, step.status or UNFINISHED

    def _message(self, event: ev.TextMessageStart | ev.TextMessageContent, role: str) -> _Message:
        message = self._messages.get(event.message_id)
        if message is None:
            message = self._messages[event.message_id] = _Message(role, event.agent_id, False)
        message.role = role or message.role
        message.agent_id = message.agent_id or event.agent_id
        message.parent_agent_id = message.parent_agent_id or event.parent_agent_id
        self._place(message)
        return message

    def _place(self, message: _Message) -> None:
        """Decide whether a message is part of the answer; its text may have come before that was known."""
        of_step = bool(message.agent_id) and any(step.agent_id == message.agent_id for step in self.steps)
        is_answer = message.role in ("", "assistant") and not message.parent_agent_id and not of_step
        if is_answer != message.is_answer and message.pieces:
            self._stale = True
        message.is_answer = is_answer

    def _text_start(self, event: ev.TextMessageStart) -> None:
        self._message(event, event.role)

    def _text(self, event: ev.TextMessageContent) -> None:
        delta = self._kept(event.delta)
        if not delta:
            return
        message = self._message(event, "")
        if not message.is_answer:
            message.pieces.append(delta)
            return
        self.activity = ""
        if not self._stale and message is not self._last_text:
            if message.pieces or self._later_text_than(event.message_id):
                self._stale = True
            elif self._last_text is not None:
                self._pieces.append(_SEPARATOR)
        message.pieces.append(delta)
        self._pieces.append(delta)
        self._last_text = message

    def _kept(self, text: str) -> str:
        kept = self._text_room.take(text)
        self.is_cut = self.is_cut or len(kept) < len(text)
        return kept

    def _replace(self, event: ev.TextMessageReplaced) -> None:
        known = self._messages.get(event.message_id)
        if known is None:
            if event.text:
                self._text(ev.TextMessageContent(event.message_id, event.text))
            return
        self._text_room.left += sum(map(len, known.pieces))
        text = self._kept(event.text)
        known.pieces = [text] if text else []
        self._stale = self._stale or known.is_answer

    def _later_text_than(self, message_id: str) -> bool:
        """Whether a message that began after this one already has text (then this piece is not the last)."""
        later = False
        for known, message in self._messages.items():
            if known == message_id:
                later = True
            elif later and message.is_answer and message.pieces:
                return True
        return False

    def _log(self) -> list[str]:
        if self._stale:
            self._stale = False
            self._epoch += 1
            self._pieces = []
            self._last_text = None
            for message in self._messages.values():
                if message.is_answer and message.pieces:
                    if self._pieces:
                        self._pieces.append(_SEPARATOR)
                    self._pieces.extend(message.pieces)
                    self._last_text = message
        return self._pieces

    def _call(
        self,
        event: ev.ToolCallStart | ev.ToolCallArgs | ev.ToolCallEnd | ev.ToolCallChunk | ev.ToolCallResult,
        at: float,
    ) -> None:
        self.work_revision += 1
        call = self.calls.get(event.call_id)
        if call is None:
            if len(self.calls) >= CALLS_MOST:
                self.is_cut = True
                return
            arguments, result = (Held(PART_MOST, self._parts_room) for _ in range(2))
            call = self.calls[event.call_id] = ToolCall(event.call_id, arguments, result, started_at=at)
        call.revision += 1
        call.agent_id = call.agent_id or event.agent_id
        match event:
            case ev.ToolCallStart():
                call.name = call.name or event.name
            case ev.ToolCallArgs():
                if not call.is_asked:
                    call.arguments_held.add(event.delta)
            case ev.ToolCallEnd():
                call.advance(CallState.RUNNING, at)
            case ev.ToolCallChunk():
                call.advance(CallState.RUNNING, at)
                if not call.is_whole:
                    call.result_held.add(event.delta)
            case ev.ToolCallResult():
                call.finish(event.content)
                call.advance(CallState.DONE, at)
        if event.error:
            call.error = call.error or event.error
            self.failures += call.state is not CallState.FAILED
            call.advance(CallState.FAILED, at)
        self.activity = ""

    def _step_started(self, event: ev.StepStarted, at: float) -> None:
        self.work_revision += 1
        if len(self.steps) >= CALLS_MOST:
            self.is_cut = True
            return
        self.steps.append(
            Step(
                event.name,
                event.label or event.name,
                event.agent_id,
                event.parent_agent_id,
                event.call_id,
                at,
            )
        )
        self.activity = ""
        for message in self._messages.values():
            if event.agent_id and message.agent_id == event.agent_id:
                self._place(message)

    def _step_finished(self, event: ev.StepFinished, at: float) -> None:
        self.work_revision += 1
        ended = [step for step in self.steps if step.ended_at is None and _is_of(event, step)]
        if ended:
            # One agent may have two steps open.
            step = next((step for step in ended if step.name == event.name), ended[0])
            step.ended_at, step.status = at, event.status

    def _usage(self, event: ev.Usage) -> None:
        known = self.usage or ev.Usage()
        self.usage = ev.Usage(
            event.characters if event.characters is not None else known.characters,
            event.session_id or known.session_id,
            event.request_id or known.request_id,
        )


def _is_of(event: ev.StepFinished, step: Step) -> bool:
    if event.agent_id and step.agent_id:
        return step.agent_id == event.agent_id
    return step.name == event.name


_SEPARATOR = "\n\n"
"""Between two messages of the root agent: they are paragraphs of one answer."""
