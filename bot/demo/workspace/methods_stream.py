"""Web API methods that stream a message: chat.startStream, chat.appendStream, chat.stopStream."""

from typing import Any, get_args

from .arguments import Arguments
from .blocks import checked_blocks
from .cast import BOT_ID, TEAM_ID, Channel
from .check import BLOCK_ID_MAX, Check
from .errors import SlackError
from .messages import Json, Message, as_slack, posted_by_app
from .methods_chat import MAX_MARKDOWN_TEXT, message_metadata
from .methods_other import set_session_status
from .state import State
from .streams import STREAM_BLOCKS_MAX, Content, Display, Mode, Stream

# Titles, details and output of one chunk. A task's details and output may grow by further chunks.
CHUNK_TEXT_MAX = 256
SOURCES_MAX = 50
TASK_STATUSES = ("pending", "in_progress", "complete", "error")
_CHUNK_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "markdown_text": ({"type", "text"}, set()),
    "task_update": ({"type", "id", "title", "status"}, {"details", "output", "sources"}),
    "plan_update": ({"type", "title"}, set()),
    "blocks": ({"type", "blocks"}, set()),
}


def start(state: State, args: Arguments) -> Json:
    """chat.startStream: an empty or first piece of a message that grows by appends."""
    channel = state.writable_channel(args.required("channel"))
    if state.refused_streams:
        raise SlackError(state.refused_streams)
    thread_ts = state.thread_root(channel.id, args.required("thread_ts"))
    display = args.text("task_display_mode", "timeline")
    if display not in get_args(Display):
        raise SlackError("invalid_arguments", ["[ERROR] must be timeline or plan: task_display_mode"])
    shown: Display = "plan" if display == "plan" else "timeline"
    stream = Stream(state.clock, _recipient(state, channel, args), shown)
    brought = _brought(state, stream, args)
    message = posted_by_app(channel.id, state.messages.next_ts(), "", None)
    message.thread_ts, message.stream = thread_ts, stream
    if brought:
        _keep(stream, *brought)
        message.text, message.blocks = stream.content.text, stream.content.blocks(shown)
    state.post(message)
    return {"channel": channel.id, "ts": message.ts}


def append(state: State, args: Arguments) -> Json:
    """chat.appendStream."""
    message, stream = _streamed(state, args)
    stream.require_open(appending=True)
    brought = _brought(state, stream, args)
    if brought is None:
        raise SlackError("no_text")
    _keep(stream, *brought)
    state.grow(message, stream.content.text, stream.content.blocks(stream.display))
    return {"channel": message.channel, "ts": message.ts}


def stop(state: State, args: Arguments) -> Json:
    """chat.stopStream: the last piece, with blocks below it."""
    message, stream = _streamed(state, args)
    stream.require_open()
    given = args.structure("blocks", "invalid_blocks")
    blocks = checked_blocks(given, state.refused_blocks) if given else []
    metadata = message_metadata(args)
    brought = _brought(state, stream, args, blocks)
    if args.text("session_status"):
        set_session_status(state, message.channel, message.thread_ts or "", args.text("session_status"))
    if brought:
        _keep(stream, *brought)
    before = as_slack(message, state.messages)
    message.metadata = metadata or message.metadata
    stream.end("stopped")
    content = stream.content
    state.grow(message, content.text, [*content.blocks(stream.display), *blocks], before)
    return {"channel": message.channel, "ts": message.ts, "message": as_slack(message, state.messages)}


def _recipient(state: State, channel: Channel, args: Arguments) -> str:
    """The person it is streamed to. In channels they must be named, with the team they belong to."""
    user, team = args.text("recipient_user_id"), args.text("recipient_team_id")
    if not channel.is_im and not user:
        raise SlackError("missing_recipient_user_id")
    if not channel.is_im and not team:
        raise SlackError("missing_recipient_team_id")
    if not user:
        return ""
    person = state.person(user)
    if person.is_bot:
        # Slack takes it and shows the person an empty bubble; nobody wants that, so it is refused here.
        raise SlackError("user_not_found", ["[ERROR] the recipient must be a person"])
    if person.team_id != (team or TEAM_ID):
        raise SlackError("team_not_found", ["[ERROR] not the team the recipient belongs to"])
    return person.id


def _streamed(state: State, args: Arguments) -> tuple[Message, Stream]:
    channel = state.writable_channel(args.required("channel"))
    message = state.messages.get(channel.id, args.required("ts"))
    if message.bot_id != BOT_ID:
        raise SlackError("message_not_owned_by_app")
    if message.stream is None:
        raise SlackError("message_not_in_streaming_state")
    return message, message.stream


def _brought(
    state: State, stream: Stream, args: Arguments, below: list[Json] | None = None
) -> tuple[Mode, Content] | None:
    """How a call brings something and the content it makes, or None when it brings nothing.

    `below` are the blocks of chat.stopStream, which count towards the size.
    """
    text = args.text("markdown_text")
    chunks = args.structure("chunks", "invalid_chunks")
    if text and chunks is not None:
        raise SlackError("invalid_arguments", ["[ERROR] markdown_text and chunks exclude each other"])
    if chunks:
        checked = _checked_chunks(state, stream, chunks)
        return "chunks", stream.take("chunks", checked, below or ())
    if text:
        if len(text) > MAX_MARKDOWN_TEXT:
            raise SlackError("msg_too_long")
        piece: Json = {"type": "markdown_text", "text": text}
        return "markdown_text", stream.take("markdown_text", [piece], below or ())
    if below:
        stream.take(stream.mode or "chunks", [], below)
    return None


def _keep(stream: Stream, mode: Mode, content: Content) -> None:
    stream.mode, stream.content = mode, content


def _checked_chunks(state: State, stream: Stream, chunks: Any) -> list[Json]:
    """The chunks with ids in their blocks; raises `invalid_chunks`, or what is wrong with the blocks."""
    if not isinstance(chunks, list):
        raise SlackError("invalid_chunks", ["[ERROR] must be an array [json-pointer:/chunks]"])
    check = Check()
    for number, chunk in enumerate(chunks):
        _check_chunk(check, chunk, f"/chunks/{number}")
    if check.errors:
        raise SlackError("invalid_chunks", check.errors)
    placed = stream.content.placed
    known = len(placed)
    new = [block for chunk in chunks if chunk["type"] == "blocks" for block in chunk["blocks"]]
    if not new:
        return chunks
    if known + len(new) > STREAM_BLOCKS_MAX:
        raise SlackError("msg_blocks_too_many")
    # Checked together with those before them: ids must differ and sums hold over the whole message.
    ready = iter(checked_blocks([*placed, *new], state.refused_blocks)[known:])
    return [
        {**chunk, "blocks": [next(ready) for _ in chunk["blocks"]]} if chunk["type"] == "blocks" else chunk
        for chunk in chunks
    ]


def _check_chunk(check: Check, chunk: Any, at: str) -> None:
    kind = check.kind(chunk, at, tuple(_CHUNK_FIELDS))
    if kind is None:
        return
    required, optional = _CHUNK_FIELDS[kind]
    check.object(chunk, at, required, optional)
    check.string(chunk.get("text"), f"{at}/text", MAX_MARKDOWN_TEXT)
    check.string(chunk.get("id"), f"{at}/id", BLOCK_ID_MAX)
    check.string(chunk.get("title"), f"{at}/title", CHUNK_TEXT_MAX)
    check.one_of(chunk.get("status"), f"{at}/status", TASK_STATUSES)
    for name in ("details", "output"):
        check.string(chunk.get(name), f"{at}/{name}", CHUNK_TEXT_MAX, least=0)
    for source, place in check.items(chunk.get("sources"), f"{at}/sources", SOURCES_MAX, least=0):
        check.object(source, place, {"type", "url", "text"})
    if kind == "blocks" and not isinstance(chunk.get("blocks"), list):
        check.fail("must be an array", f"{at}/blocks")
