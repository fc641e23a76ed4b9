"""What the web page talks to: the state of the workspace, messages, a person's doings, live changes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web

from . import cast
from .cast import BOT_USER_ID
from .errors import SlackError
from .events import NothingToClick
from .messages import Change, Json, Message
from .modal_actions import ModalActions
from .person_actions import OWN_COMMANDS, PersonActions
from .state import State

STATIC = Path(__file__).resolve().parent.parent / "static"
NOT_BUILT = "The page's bundle is not built: run the build script in bot/demo/page.\n"
HEARTBEAT_SECONDS = 15.0
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def message_object(state: State, message: Message) -> Json:
    """A message as the page draws it."""
    body: Json = {
        "ts": message.ts,
        "channel": message.channel,
        "user": message.user,
        "text": message.text,
        "versions": len(message.versions),
    }
    optional = {
        "blocks": message.blocks,
        "thread_ts": message.thread_ts,
        "edited": message.edited,
        "bot_id": message.bot_id,
        "ephemeral": message.ephemeral_for is not None,
        "files": [
            {"name": file["name"], "url": file["url_private_download"], "size": file["size"]}
            for file in message.files
        ],
        "reactions": message.reactions,
    }
    body |= {name: value for name, value in optional.items() if value}
    if message.stream is not None and message.stream.is_open:
        body["streaming"] = {"seconds_left": message.stream.ends_at - state.clock()}
    if message.stream is not None and message.stream.looks_failed:
        body["looks_failed"] = True
    replies = [] if message.is_reply else state.messages.thread(message.channel, message.ts)
    return body | ({"reply_count": len(replies), "latest_reply": replies[-1].ts} if replies else {})


class PageApi:
    """Serves the page, to this machine only. It has no login: whoever opens it may be anybody."""

    def __init__(self, state: State, people: PersonActions, modals: ModalActions) -> None:
        self._state = state
        self._people = people
        self._modals = modals
        self._streams: set[asyncio.Queue[Change | None]] = set()
        state.listen(self._pass_on)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the page."""
        return [
            web.get("/", self._guarded(self._index)),
            web.get("/static/{path:.*}", self._guarded(self._static)),
            web.get("/page/state", self._guarded(self._show_state)),
            web.get("/page/messages", self._guarded(self._show_messages)),
            web.get("/page/events", self._guarded(self._events)),
            web.post("/page/post", self._guarded(self._post)),
            web.post("/page/command", self._guarded(self._command)),
            web.post("/page/action", self._guarded(self._action)),
            web.post("/page/delete", self._guarded(self._delete)),
            web.post("/page/stop", self._guarded(self._stop)),
            web.post("/page/submit", self._guarded(self._submit)),
            web.post("/page/close", self._guarded(self._close)),
        ]

    def stop(self) -> None:
        """Ends the live streams."""
        for queue in self._streams:
            queue.put_nowait(None)

    def _pass_on(self, change: Change) -> None:
        for queue in self._streams:
            queue.put_nowait(change)

    def _guarded(self, handler: Handler) -> Handler:
        """Loopback only, and refusals as JSON."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            # The name is checked too, so that no foreign site can point its own name here.
            near = ip_address((request.remote or "0.0.0.0").partition("%")[0]).is_loopback
            if not near or request.url.host not in LOCAL_NAMES:
                return web.Response(status=403, text="This page is served to this machine only.\n")
            try:
                return await handler(request)
            except SlackError as error:
                return web.json_response(error.body())
            except NothingToClick as error:
                return web.json_response({"ok": False, "error": str(error)})

        return guarded

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return _file(STATIC / "index.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return _file(STATIC / request.match_info["path"])

    async def _show_state(self, request: web.Request) -> web.Response:
        state = self._state
        return web.json_response(
            {
                "team": {"id": cast.TEAM_ID, "name": cast.TEAM_NAME},
                "bot": BOT_USER_ID,
                "users": [
                    {
                        "id": person.id,
                        "name": person.name,
                        "real_name": person.real_name,
                        "is_bot": person.is_bot,
                        "is_stranger": person.is_stranger,
                        "color": person.color,
                        "locale": person.locale,
                    }
                    for person in state.people.values()
                ],
                "channels": [
                    {
                        "id": channel.id,
                        "name": channel.name,
                        "is_im": channel.is_im,
                        "is_ext_shared": channel.is_ext_shared,
                        "bot_is_member": BOT_USER_ID in channel.members,
                        "is_archived": channel.is_archived,
                        "topic": channel.topic,
                        "members": sorted(channel.members),
                    }
                    | ({"user": channel.user} if channel.is_im else {})
                    for channel in state.channels.values()
                ],
                "commands": [
                    {
                        "command": command.command,
                        "usage_hint": command.usage_hint,
                        "description": command.description,
                    }
                    for command in state.commands.values()
                ],
                "own_commands": [
                    {"command": command, "usage_hint": usage, "description": about}
                    for command, (usage, about) in OWN_COMMANDS.items()
                ],
            }
        )

    async def _show_messages(self, request: web.Request) -> web.Response:
        channel = self._state.channel(request.query.get("channel"))
        user = request.query.get("user", "")
        if user not in channel.members:
            raise SlackError("not_in_channel")
        seen = [m for m in self._state.messages.of(channel.id) if m.ephemeral_for in (None, user)]
        seen.sort(key=lambda message: float(message.ts))
        return web.json_response({"messages": [message_object(self._state, message) for message in seen]})

    async def _post(self, request: web.Request) -> web.Response:
        body = await _body(request)
        user, channel, text = _strings(body, "user", "channel", "text")
        ts = self._people.say(user, channel, text, body.get("thread_ts") or None)
        return web.json_response({"ok": True, "ts": ts})

    async def _command(self, request: web.Request) -> web.Response:
        done = await self._people.command(
            *_strings(await _body(request), "user", "channel", "command", "text")
        )
        # What the app answered with its ack is already in the channel, as a message for this person.
        return web.json_response({"ok": done.ok} | ({"response": done.error} if done.error else {}))

    async def _action(self, request: web.Request) -> web.Response:
        body = await _body(request)
        user, channel, ts, action_id = _strings(body, "user", "channel", "ts", "action_id")
        done = await self._people.click(
            user, channel, ts, action_id, body.get("block_id") or None, body.get("value")
        )
        return web.json_response({"ok": done.ok} | ({"error": done.error} if done.error else {}))

    async def _delete(self, request: web.Request) -> web.Response:
        self._people.delete(*_strings(await _body(request), "user", "channel", "ts"))
        return web.json_response({"ok": True})

    async def _stop(self, request: web.Request) -> web.Response:
        stopped = self._people.press_stop(*_strings(await _body(request), "user", "channel", "thread_ts"))
        return web.json_response({"ok": True, "stopped": stopped})

    async def _submit(self, request: web.Request) -> web.Response:
        body = await _body(request)
        values = body.get("values")
        typed = values if isinstance(values, dict) else {}
        done = await self._modals.submit(str(body.get("user")), {k: str(v) for k, v in typed.items()})
        return web.json_response(
            {"ok": done.ok}
            | ({"error": done.error} if done.error else {})
            | ({"errors": done.errors} if done.errors else {})
        )

    async def _close(self, request: web.Request) -> web.Response:
        done = await self._modals.close(*_strings(await _body(request), "user"))
        return web.json_response({"ok": done.ok} | ({"error": done.error} if done.error else {}))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        user = request.query.get("user", "")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"},
        )
        await response.prepare(request)
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._streams.add(queue)
        try:
            await response.write(b": hello\n\n")
            if user in self._state.modals:
                queue.put_nowait(Change("modal", user=user, view=self._state.modals[user]))
            while True:
                try:
                    change = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    break
                shown = self._shown(change, user)
                if shown:
                    await response.write(b"data: " + json.dumps(shown).encode() + b"\n\n")
        except ConnectionError:
            pass
        finally:
            self._streams.discard(queue)
        return response

    def _shown(self, change: Change, user: str) -> Json | None:
        """A change as the page hears it, or None when it is not for this person."""
        if change.kind == "modal":
            return {"type": "modal", "view": change.view} if change.user == user else None
        if change.kind == "channels":
            return {"type": "channels"}
        if user not in self._state.channels[change.channel].members:
            return None
        if change.message is None:
            return {
                "type": "status",
                "channel": change.channel,
                "thread_ts": change.thread_ts,
                "status": change.status,
            }
        if change.message.ephemeral_for not in (None, user):
            return None
        if change.kind == "deleted":
            return {"type": "deleted", "channel": change.channel, "ts": change.message.ts}
        return {"type": "message", "message": message_object(self._state, change.message)}


def _file(path: Path) -> web.StreamResponse:
    """A file of the bundle, and nothing outside of it."""
    inside = path.resolve().is_relative_to(STATIC)
    if not inside or not path.is_file():
        built = (STATIC / "index.html").is_file()
        return web.Response(status=404, text="No such file.\n" if built else NOT_BUILT)
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; other content types are refused, so no other site can post here."""
    if request.content_type != "application/json":
        raise SlackError("invalid_content_type")
    try:
        body = await request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackError("invalid_json")
    return body


def _strings(body: Json, *names: str) -> list[str]:
    return [str(body.get(name) or "") for name in names]
