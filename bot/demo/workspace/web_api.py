"""The Web API's door: reads a call, checks token, faults and rate, runs the method, keeps the record."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from . import methods_chat, methods_other, methods_read, methods_stream, methods_views
from .arguments import Arguments, read_arguments, recorded
from .errors import SlackError
from .faults import Fault, Faults
from .messages import Json
from .rates import Rates
from .state import Call, State

Method = Callable[[State, Arguments], Json]

METHODS: Mapping[str, Method] = {
    "agents.sessions.setStatus": methods_other.session_status,
    "assistant.threads.setStatus": methods_other.assistant_status,
    "auth.test": methods_read.auth_test,
    "bots.info": methods_read.bots_info,
    "chat.appendStream": methods_stream.append,
    "chat.delete": methods_chat.delete,
    "chat.getPermalink": methods_chat.get_permalink,
    "chat.postEphemeral": methods_chat.post_ephemeral,
    "chat.postMessage": methods_chat.post_message,
    "chat.startStream": methods_stream.start,
    "chat.stopStream": methods_stream.stop,
    "chat.update": methods_chat.update,
    "conversations.history": methods_read.conversations_history,
    "conversations.info": methods_read.conversations_info,
    "conversations.list": methods_read.conversations_list,
    "conversations.members": methods_read.conversations_members,
    "conversations.open": methods_read.conversations_open,
    "conversations.replies": methods_read.conversations_replies,
    "files.completeUploadExternal": methods_other.complete_upload,
    "files.getUploadURLExternal": methods_other.get_upload_url,
    "reactions.add": methods_chat.add_reaction,
    "reactions.remove": methods_chat.remove_reaction,
    "team.info": methods_read.team_info,
    "users.info": methods_read.users_info,
    "users.list": methods_read.users_list,
    "views.open": methods_views.views_open,
    "views.publish": methods_views.views_publish,
    "views.update": methods_views.views_update,
}
# One of these is needed; a method that is not named here needs none.
SCOPES_OF: Mapping[str, tuple[str, ...]] = {
    "agents.sessions.setStatus": ("chat:write",),
    "assistant.threads.setStatus": ("chat:write", "assistant:write"),
    "bots.info": ("users:read",),
    "chat.appendStream": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.startStream": ("chat:write",),
    "chat.stopStream": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": ("channels:history", "groups:history", "im:history"),
    "conversations.info": ("channels:read", "groups:read", "im:read"),
    "conversations.list": ("channels:read", "groups:read", "im:read"),
    "conversations.members": ("channels:read", "groups:read", "im:read"),
    "conversations.open": ("im:write",),
    "conversations.replies": ("channels:history", "groups:history", "im:history"),
    "files.completeUploadExternal": ("files:write",),
    "files.getUploadURLExternal": ("files:write",),
    "reactions.add": ("reactions:write",),
    "reactions.remove": ("reactions:write",),
    "team.info": ("team:read",),
    "users.info": ("users:read",),
    "users.list": ("users:read",),
}
CONNECTIONS_OPEN = "apps.connections.open"


class WebApi:
    """Answers `/api/METHOD`. `open_connection` is what apps.connections.open returns."""

    def __init__(
        self, state: State, rates: Rates, bot_token: str, app_token: str, open_connection: Callable[[], Json]
    ) -> None:
        self.faults = Faults()
        self.before: Callable[[Call], Awaitable[Fault | None]] | None = None
        self._state = state
        self._rates = rates
        self._bot_token = bot_token
        self._app_token = app_token
        self._open_connection = open_connection
        self._stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        call = Call(request.match_info["method"], {}, self._state.clock(), port=_port(request))
        self._state.calls.append(call)
        try:
            token, arguments = await read_arguments(request)
        except SlackError as error:
            return self._answer(call, 200, error.body())
        call.args = recorded(arguments)
        self._state.bell.ring()
        fault = await self.before(call) if self.before else None
        fault = fault or self.faults.next(call.method)
        call.spoiled = fault is not None
        if fault is not None and not fault.reset:
            return await self._fail(call, fault)
        wait = self._rates.take(call.method, arguments.text("channel"))
        if wait:
            body = SlackError("ratelimited").body()
            return self._answer(call, 429, body, {"Retry-After": str(wait)})
        body = self._run(call.method, token, arguments)
        if fault is not None and request.transport is not None:
            request.transport.abort()
            call.response = body
            self._state.bell.ring()
            return web.Response()
        return self._answer(call, 200, body)

    def stop(self) -> None:
        """Lets go of calls that hang."""
        self._stopping.set()

    def _run(self, method: str, token: str | None, arguments: Arguments) -> Json:
        try:
            self._authorize(method, token)
            if method == CONNECTIONS_OPEN:
                return {"ok": True, **self._open_connection()}
            if method not in METHODS:
                raise SlackError("unknown_method", req_method=method)
            return {"ok": True, **METHODS[method](self._state, arguments)}
        except SlackError as error:
            return error.body()

    def _authorize(self, method: str, token: str | None) -> None:
        """Every method takes the bot's token, except the one that opens sockets."""
        if token is None:
            raise SlackError("not_authed")
        if token not in (self._bot_token, self._app_token):
            raise SlackError("invalid_auth")
        wanted = self._app_token if method == CONNECTIONS_OPEN else self._bot_token
        if token != wanted:
            raise SlackError("not_allowed_token_type")
        if token == self._bot_token and self._state.token_error:
            raise SlackError(self._state.token_error)
        needed = SCOPES_OF.get(method, ())
        if needed and not self._state.scopes.intersection(needed):
            provided = ",".join(sorted(self._state.scopes))
            raise SlackError("missing_scope", needed=needed[0], provided=provided)

    async def _fail(self, call: Call, fault: Fault) -> web.Response:
        if fault.hang:
            await self._stopping.wait()
            return self._answer(call, 503, {})
        if fault.retry_after is not None:
            body = SlackError("ratelimited").body()
            return self._answer(call, 429, body, {"Retry-After": str(fault.retry_after)})
        if fault.error is not None:
            return self._answer(call, fault.status or 200, SlackError(fault.error).body())
        call.status = fault.status or 500
        self._state.bell.ring()
        return web.Response(status=call.status, text="upstream connect error", content_type="text/html")

    def _answer(
        self, call: Call, status: int, body: Json, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        call.status, call.response = status, body
        self._state.bell.ring()
        granted = {"X-OAuth-Scopes": ",".join(sorted(self._state.scopes))}
        return web.json_response(body, status=status, headers={**granted, **(headers or {})})


def _port(request: web.Request) -> int:
    """The port a request came in by; 0 when its connection is gone."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return int(name[1]) if name else 0
