"""What a backend yields while it answers, in AG-UI's vocabulary.

Each class is one thing that happened upstream, already freed from the service's spelling. Backends translate
their frames into these; `bot.model.answer` folds them. Nothing here does I/O or knows a clock.

Source of the names: the AG-UI protocol's event types, as DAS Agent sends them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The service has begun, or says more of its names; any may be unknown and come with a later one.

    `run_id` is the upstream's id of the run, by which it can be stopped; `session_id` of the conversation;
    `message_id` of the answer, by which it can be fetched and rated.
    """

    run_id: str = ""
    session_id: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class TextMessageStart:
    """A message begins. `role` is "assistant", "tool" or "user" (an echo of the question)."""

    message_id: str
    role: str = "assistant"
    agent_id: str = ""
    parent_agent_id: str = ""


@dataclass(frozen=True, slots=True)
class TextMessageContent:
    """A piece of a message's Markdown. The role is only on its start."""

    message_id: str
    delta: str
    agent_id: str = ""
    parent_agent_id: str = ""


@dataclass(frozen=True, slots=True)
class TextMessageReplaced:
    """The service takes back what a message said: `text` stands in its place."""

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TextMessageEnd:
    """A message is complete."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Activity:
    """A sign of life, such as "waiting_for_agent_thinking"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the agent's thinking aloud; shown as activity and in a fold, never as part of the answer."""

    delta: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """A tool call begins; its arguments follow."""

    call_id: str
    name: str = ""
    agent_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallArgs:
    """A piece of the JSON text of a call's arguments."""

    call_id: str
    delta: str
    agent_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallEnd:
    """The arguments are complete and the tool is about to run. It is *not* finished."""

    call_id: str
    agent_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallChunk:
    """A piece of a long result."""

    call_id: str
    delta: str
    agent_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallResult:
    """The tool has finished, with `content`, or with `error` when that is not empty."""

    call_id: str
    content: str = ""
    agent_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A sub-agent begins. `label` is its display name, `call_id` the tool call it came from."""

    name: str
    label: str = ""
    agent_id: str = ""
    parent_agent_id: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A sub-agent ends. `status` is the service's word for it, such as "completed" or "failed"."""

    name: str
    status: str = ""
    agent_id: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A document the answer draws on. `url` is empty when the service gave none."""

    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A tool that writes waits for somebody's decision, which is made in the service's own console.

    The stream ends after it; asking on with `call_id` continues. `arguments` is JSON text.
    """

    call_id: str
    round_id: str = ""
    tool: str = ""
    arguments: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class InterruptRaised:
    """The agent asks the person something before it goes on; `options` are what it suggests as answers."""

    interrupt_id: str
    message: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What the run cost and in which session it ran; any field may be unknown.

    `characters` are the characters the service bills, input and output; `request_id` is the service's
    id for its support.
    """

    characters: int | None = None
    session_id: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The answer is complete."""

    run_id: str = ""


@dataclass(frozen=True, slots=True)
class RunError:
    """The service reports that the run failed. `code` and `message` are its own words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame of a kind nobody has documented; counted, never shown."""

    type: str


Event = (
    RunStarted
    | TextMessageStart
    | TextMessageContent
    | TextMessageReplaced
    | TextMessageEnd
    | Activity
    | Reasoning
    | ToolCallStart
    | ToolCallArgs
    | ToolCallEnd
    | ToolCallChunk
    | ToolCallResult
    | StepStarted
    | StepFinished
    | Source
    | ApprovalAsked
    | InterruptRaised
    | Usage
    | RunFinished
    | RunError
    | Unknown
)
"""Any of the above."""
