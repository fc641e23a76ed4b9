"""The local workspace put together: one HTTP server that a real Slack app can be pointed at."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from .admin_actions import AdminActions
from .cast import Channel, Command, Person
from .delivery import (
    ACK_DEADLINE_SECONDS,
    REDELIVERY_DELAYS_SECONDS,
    Delivery,
    Dispatcher,
    Kind,
    Sleep,
)
from .errors import SlackError
from .events import event_callback, events_of
from .faults import Fault
from .http_delivery import HttpDelivery
from .messages import Change, Json, Ledger, Message
from .methods_chat import respond
from .modal_actions import ModalActions
from .page_api import PageApi
from .person_actions import Done, PersonActions
from .rates import Rates
from .socket_mode import SocketMode
from .state import Call, File, State
from .web_api import WebApi

MAX_UPLOAD_BYTES = 64 * 1024 * 1024


class Workspace:
    """A Slack workspace on this machine: Web API, Socket Mode or signed HTTP, and a page for people.

    `clock` returns seconds since 1970 and `sleep` waits that many; both are injected in tests.
    `rates` overrides calls per minute by method (`math.inf` lifts a limit). Without `event_url` the
    app is expected on Socket Mode; with it events, and unless told otherwise commands and clicks, are
    posted there.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        rates: Mapping[str, float] | None = None,
        redelivery_delays: Sequence[float] = REDELIVERY_DELAYS_SECONDS,
        ack_deadline: float = ACK_DEADLINE_SECONDS,
        signing_secret: str = "d0" * 16,
        bot_token: str = "xoxb-demo-workspace-bot",
        app_token: str = "xapp-demo-workspace-app",
        event_url: str | None = None,
        command_url: str | None = None,
        interactivity_url: str | None = None,
        commands: Iterable[Command] = (),
    ) -> None:
        self.signing_secret = signing_secret
        self.bot_token = bot_token
        self.app_token = app_token
        self.state = State(clock, commands)
        self.sockets = SocketMode(self.state.bell)
        self._http: HttpDelivery | None = None
        self._urls = (event_url, command_url, interactivity_url)
        self._dispatcher = Dispatcher(clock, sleep, self.state.bell, redelivery_delays, ack_deadline)
        self._admin = AdminActions(self.state, self._dispatcher)
        self._people = PersonActions(self.state, self._dispatcher, self._admin)
        self._modals = ModalActions(self.state, self._dispatcher)
        self._page = PageApi(self.state, self._people, self._modals)
        self._api = WebApi(self.state, Rates(clock, rates), bot_token, app_token, self._open_connection)
        self._runner: web.AppRunner | None = None
        self.state.listen(self._tell_app)

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens; port 0 takes a free one. Raises `OSError` when the port is taken."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._api.handle),
                web.get("/socket-mode/", self.sockets.handle),
                web.post("/response/{key}", self._respond),
                web.post("/upload/v1/{file}", self._upload),
                web.get("/files/{file}/{name}", self._download),
                *self._page.routes(),
            ]
        )
        # Nothing here is worth waiting for at the end: the other side is a bot being tested or closed.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.state.base_url = f"http://{host}:{bound}"
        if self._urls[0] is None:
            self._dispatcher.transport = self.sockets
        else:
            await self._use_http(*self._urls)

    async def stop(self) -> None:
        """Ends deliveries, sockets and the server; everything recorded stays readable."""
        await self._dispatcher.stop()
        self._api.stop()
        self._page.stop()
        await self.sockets.stop()
        if self._http is not None:
            await self._http.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def configure_http(
        self, event_url: str, command_url: str | None = None, interactivity_url: str | None = None
    ) -> None:
        """Sends everything over HTTP from now on, once the address has answered Slack's challenge.

        Raises `ChallengeFailed` and leaves things as they were.
        """
        before, transport = self._http, self._dispatcher.transport
        await self._use_http(event_url, command_url, interactivity_url)
        assert self._http is not None
        try:
            await self._http.verify()
        except BaseException:
            await self._http.stop()
            self._http, self._dispatcher.transport = before, transport
            raise
        if before is not None:
            await before.stop()

    async def _use_http(self, event_url: str | None, command_url: str | None, click_url: str | None) -> None:
        assert event_url is not None
        urls: dict[Kind, str] = {
            "events_api": event_url,
            "slash_commands": command_url or event_url,
            "interactive": click_url or event_url,
        }
        self._http = HttpDelivery(self.signing_secret, self.state.clock, urls)
        self._dispatcher.transport = self._http

    @property
    def url(self) -> str:
        """The address of the page."""
        return self.state.base_url

    @property
    def api_url(self) -> str:
        """What SLACK_API_URL is set to."""
        return f"{self.state.base_url}/api/"

    # What people do

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Writes a message as a person and returns its ts."""
        return self._people.say(user, channel, text, thread_ts)

    def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """Edits a person's own message."""
        self._people.edit(user, channel, ts, text)

    def delete(self, user: str, channel: str, ts: str) -> None:
        """Deletes a person's own message."""
        self._people.delete(user, channel, ts)

    def press_stop(self, user: str, channel: str, thread_ts: str) -> list[str]:
        """Presses Slack's own Stop in a thread; returns the ts of what was streaming there."""
        return self._people.press_stop(user, channel, thread_ts)

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Done:
        """Uses a slash command and waits for the ack."""
        return await self._people.command(user, channel, command, text)

    async def click(
        self,
        user: str,
        channel: str,
        ts: str,
        action_id: str,
        block_id: str | None = None,
        value: str | None = None,
    ) -> Done:
        """Presses a button and waits for the ack."""
        return await self._people.click(user, channel, ts, action_id, block_id, value)

    async def submit_modal(self, user: str, values: Mapping[str, str]) -> Done:
        """Submits the modal a person has open, with what they typed or chose by action_id."""
        return await self._modals.submit(user, values)

    async def close_modal(self, user: str) -> Done:
        """Closes the modal a person has open."""
        return await self._modals.close(user)

    def invite_bot(self, user: str, channel: str) -> None:
        """Makes the bot a member of a channel."""
        self._admin.invite_bot(user, channel)

    def remove_bot(self, user: str, channel: str) -> None:
        """Takes the bot out of a channel."""
        self._admin.remove_bot(user, channel)

    def archive(self, user: str, channel: str, archived: bool = True) -> None:
        """Archives a channel, or takes it back."""
        self._admin.archive(user, channel, archived)

    def uninstall_app(self) -> None:
        """Takes the app out of the workspace; its calls get `account_inactive`."""
        self._admin.uninstall_app()

    def revoke_tokens(self) -> None:
        """Revokes the bot's token; its calls get `token_revoked`."""
        self._admin.revoke_tokens()

    def reinstall_app(self) -> None:
        """Makes the bot's token good again."""
        self._admin.reinstall_app()

    def limit_events(self) -> None:
        """Tells the app that Slack leaves out events of this minute."""
        self._admin.limit_events()

    def replay_event(self, n: int = -1) -> Delivery:
        """Delivers the n-th of `events` once more, with the same event_id, as Slack sometimes does."""
        return self._dispatcher.send("events_api", self.events[n].payload)

    # What goes wrong

    def fail_next(
        self,
        method: str,
        times: int = 1,
        *,
        status: int | None = None,
        retry_after: int | None = None,
        error: str | None = None,
        hang: bool = False,
        reset: bool = False,
    ) -> None:
        """Lets the next calls of a method fail; see `Fault`."""
        self._api.faults.add(method, Fault(status, retry_after, error, hang, reset), times)

    async def another_address(self) -> str:
        """One more value for SLACK_API_URL; by its port (`Call.port`) a process's calls can be told from others'."""
        assert self._runner is not None
        known = len(self._runner.addresses)
        await web.TCPSite(self._runner, urlsplit(self.state.base_url).hostname, 0).start()
        return f"http://{urlsplit(self.state.base_url).hostname}:{self._runner.addresses[known][1]}/api/"

    def before_calls(self, hook: Callable[[Call], Awaitable[Fault | None]]) -> None:
        """Awaits `hook` before a call is carried out: it may keep the call waiting, and give what happens to it."""
        self._api.before = hook

    def before_deliveries(self, hook: Callable[[Delivery], Awaitable[None]]) -> None:
        """Awaits `hook` before something is brought to the app for the first time: Slack keeps no order."""
        self._dispatcher.before = hook

    @property
    def scopes(self) -> set[str]:
        """What the bot was granted; tests may take a scope away."""
        return self.state.scopes

    def refuse_blocks(self, *kinds: str) -> None:
        """From now on messages with blocks of these kinds get `invalid_blocks`; none: all are known."""
        self.state.refused_blocks = set(kinds)

    @property
    def refuse_streams(self) -> str:
        """The error code with which chat.startStream is refused; empty, as at first: streams work."""
        return self.state.refused_streams

    @refuse_streams.setter
    def refuse_streams(self, code: str) -> None:
        self.state.refused_streams = code

    def clear_faults(self) -> None:
        """Takes back every fault that has not happened yet."""
        self._api.faults.clear()

    def drop_sockets(self) -> None:
        """Cuts every Socket Mode connection without a word."""
        self.sockets.drop()

    async def disconnect_sockets(self, reason: str = "refresh_requested") -> None:
        """Announces the end of every Socket Mode connection; `warning` only announces it."""
        await self.sockets.disconnect(reason)

    # What happened

    @property
    def people(self) -> dict[str, Person]:
        """Everybody by id."""
        return self.state.people

    @property
    def channels(self) -> dict[str, Channel]:
        """Every channel by id; tests may change members or archive one."""
        return self.state.channels

    @property
    def messages(self) -> Ledger:
        """Every message ever written, with all its versions."""
        return self.state.messages

    @property
    def files(self) -> dict[str, File]:
        """Every uploaded file by id."""
        return self.state.files

    def modal(self, user: str) -> Json | None:
        """The modal a person has before them."""
        return self.state.modals.get(user)

    @property
    def calls(self) -> list[Call]:
        """Every Web API call, in order."""
        return self.state.calls

    def calls_of(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.state.calls if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything the app was to hear: events, commands and clicks."""
        return self._dispatcher.deliveries

    @property
    def events(self) -> list[Delivery]:
        """The deliveries that were events."""
        return [delivery for delivery in self.deliveries if delivery.kind == "events_api"]

    def replies(self, channel: str, thread_ts: str) -> list[Message]:
        """The messages in a thread below its root, oldest first."""
        return self.state.messages.thread(channel, thread_ts)

    def ephemerals(self, user: str, channel: str) -> list[Message]:
        """What only this person sees in a channel."""
        return [m for m in self.state.messages.of(channel) if m.ephemeral_for == user]

    async def until(self, predicate: Callable[[], object], timeout: float = 10.0) -> None:
        """Waits until `predicate()` is true, looking again at every message, call and delivery.

        Raises `TimeoutError` after `timeout` seconds.
        """
        await self.state.bell.until(predicate, timeout)

    async def connected(self, connections: int = 1, timeout: float = 10.0) -> None:
        """Waits until the app holds at least this many Socket Mode connections."""
        await self.until(lambda: len(self.sockets.connections) >= connections, timeout)

    async def delivered(self, timeout: float = 10.0) -> None:
        """Waits until everything sent so far was acked or given up."""
        await self.until(lambda: self._dispatcher.in_flight == 0, timeout)

    # Wiring

    def _tell_app(self, change: Change) -> None:
        if self._runner is None or change.message is None:
            return
        channel = self.state.channels[change.channel]
        for event in events_of(self.state, change):
            self._dispatcher.send("events_api", event_callback(self.state, event, channel))

    def _open_connection(self) -> dict[str, object]:
        return self.sockets.open(self.state.base_url)

    async def _respond(self, request: web.Request) -> web.Response:
        try:
            respond(self.state, request.match_info["key"], await request.json())
        except ValueError:
            return web.json_response(SlackError("invalid_payload").body(), status=400)
        except SlackError as error:
            gone = error.code in ("expired_url", "used_url")
            return web.json_response(error.body(), status=404 if gone else 400)
        return web.Response(text="ok")

    async def _upload(self, request: web.Request) -> web.Response:
        file = self.state.files.get(request.match_info["file"])
        if file is None or file.content is not None:
            return web.Response(status=404, text="unknown upload")
        if request.content_type == "multipart/form-data":
            parts = [part for part in (await request.post()).values() if isinstance(part, web.FileField)]
            content = parts[0].file.read() if parts else b""
        else:
            content = await request.read()
        if len(content) != file.length:
            return web.Response(status=400, text="length differs from the announced one")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        file = self.state.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound()
        # Shown as text or saved, never run: the content came from a model.
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
        return web.Response(body=file.content, content_type="text/plain", charset="utf-8", headers=headers)
