"""Web API methods for files and for the status of a conversation with the app."""

from .arguments import Arguments
from .cast import BOT_USER_ID
from .errors import SlackError
from .messages import Json, posted_by_app
from .state import SESSION_STATUS_LIFE_SECONDS, File, State

MAX_LOADING_MESSAGES = 10
SESSION_STATES = ("active", "processing", "suspended", "closed")


def get_upload_url(state: State, args: Arguments) -> Json:
    """files.getUploadURLExternal: the first of three steps."""
    name, length = args.required("filename"), args.number("length", 0)
    if length <= 0:
        raise SlackError("invalid_arguments", ["[ERROR] must be more than 0: length"])
    file = File(state.new_id("F"), name, length)
    state.files[file.id] = file
    return {"upload_url": f"{state.base_url}/upload/v1/{file.id}", "file_id": file.id}


def complete_upload(state: State, args: Arguments) -> Json:
    """files.completeUploadExternal: shares uploaded files, into a thread when asked to."""
    asked = args.structure("files", "invalid_arguments")
    if not isinstance(asked, list) or not asked:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: files"])
    files: list[File] = []
    for entry in asked:
        file = state.files.get(str(entry.get("id")) if isinstance(entry, dict) else "")
        if file is None or file.content is None or file.shared:
            raise SlackError("file_not_found")
        file.title = str(entry.get("title") or file.name)
        files.append(file)
    channel_ids = [item for item in [args.text("channel_id"), *args.text("channels").split(",")] if item]
    channels = [state.writable_channel(channel_id) for channel_id in channel_ids]
    thread_ts = args.text("thread_ts") or None
    roots = [state.thread_root(channel.id, thread_ts) for channel in channels]
    for file in files:
        file.shared = True
    for channel, root in zip(channels, roots, strict=True):
        message = posted_by_app(channel.id, state.messages.next_ts(), args.text("initial_comment"), None)
        message.thread_ts, message.subtype = root, "file_share"
        message.files = [file_object(state, file) for file in files]
        state.post(message)
    return {"files": [file_object(state, file) for file in files]}


def file_object(state: State, file: File) -> Json:
    """A file as messages carry it."""
    address = f"{state.base_url}/files/{file.id}/{file.name}"
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "size": file.length,
        "user": BOT_USER_ID,
        "mode": "hosted",
        "filetype": file.name.rpartition(".")[2] or "text",
        "url_private": address,
        "url_private_download": address,
    }


def assistant_status(state: State, args: Arguments) -> Json:
    """assistant.threads.setStatus: the line "das is thinking…" below a thread."""
    channel = state.joined_channel(args.required("channel_id"))
    thread_ts = args.required("thread_ts")
    if state.messages.find(channel.id, thread_ts) is None:
        raise SlackError("invalid_thread_ts")
    loading = args.structure("loading_messages", "invalid_arguments") or []
    if len(loading) > MAX_LOADING_MESSAGES:
        raise SlackError("invalid_arguments", ["[ERROR] no more than 10 items allowed: loading_messages"])
    state.set_status(channel.id, thread_ts, args.text("status"))
    return {}


def session_status(state: State, args: Arguments) -> Json:
    """agents.sessions.setStatus: where an agent's session stands."""
    channel = state.channel(args.required("channel_id"))
    if BOT_USER_ID not in channel.members:
        raise SlackError("not_authorized")
    status = args.required("status")
    thread_ts = args.text("thread_ts")
    if not thread_ts:
        raise SlackError("thread_ts_required")
    initiator = args.text("initiator_user_id")
    if initiator and initiator not in channel.members:
        raise SlackError("user_not_found")
    set_session_status(state, channel.id, thread_ts, status)
    return {}


def set_session_status(state: State, channel: str, thread_ts: str, status: str) -> None:
    """Notes where a session stands and shows it below its thread; raises `invalid_status`."""
    if status not in SESSION_STATES:
        raise SlackError("invalid_status")
    state.session_status[channel, thread_ts] = status
    shown = "is working…" if status == "processing" else ""
    state.set_status(channel, thread_ts, shown, SESSION_STATUS_LIFE_SECONDS)
