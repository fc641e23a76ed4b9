"""The simulated RDS Copilot: runs that go on without a listener, and the actions to stop, rate and fetch them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, ClassVar, Unpack
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from bot.demo.rds import ask as asks
from bot.demo.rds import console, pages
from bot.demo.rds.ask import Ask, invalid
from bot.demo.rds.choose import Plan, plan
from bot.demo.rds.conversations import AskedRound, Call, Conversation, Conversations, Message
from bot.demo.rds.dialect import RDS, event
from bot.demo.rds.script import Action, Round
from bot.demo.rds.timeline import Run
from bot.demo.upstream.faults import BUSY, Faults
from bot.demo.upstream.refusal import Refusal, Refused
from bot.demo.upstream.script import BEIJING
from bot.demo.upstream.service import DEMO_CREDENTIAL, Options, Received, Service
from bot.demo.upstream.verify import Credential, RawRequest
from bot.demo.upstream.wire import Frame, Timed, spoil

_ACCOUNT = ""
"""What runs are counted by: all of the account together."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody thinks of an answer: "like" or "dislike", and a comment, perhaps empty."""

    rating: str
    content: str


class SimulatedRds(Service):
    """RDS Copilot with scripted answers.

    A question containing `demo:cut`, `demo:noend`, `demo:error`, `demo:exception` or `demo:busy` shows a stream
    that breaks, one without an end, two ways a run fails, and a busy service; `demo:replace` an answer taken
    back; `demo:approve` and `demo:approve-two` tools that need consent, given with `decide` or at /console;
    "full report" an answer of about 30,000 characters. `concurrency` counts for the whole account, until a run has been
    generated, listened to or not.

    Args:
        credentials: the access keys it knows.
        options: pace, concurrency, faults, clock, sleep and seed, as `Service` takes them.

    Attributes:
        feedbacks: what ModifyMessagesFeedbacks was told, by message id.
        refusals: answers for actions other than ChatMessages, by name, until taken out. next_refusals: the same
            for the next request of an action, one each.
        reads_forms: whether parameters in a form body count; it is not known whether the service reads them.
        ends: the events a run ends with.
    """

    product = "rdsai"
    version = asks.VERSION
    actions = frozenset(
        {"ChatMessages", "ChatMessagesTaskStop", "ModifyMessagesFeedbacks", "GetMessages", "GetConversations"}
    )
    # 8,000 Chinese characters escaped are 72,000 bytes; they can travel in the target only.
    longest_target = 100_000
    by_word: ClassVar[Mapping[str, Faults]] = {
        "demo:cut": Faults(cut_after=40, cut_with="fin"),
        "demo:noend": Faults(no_end=True),
        "demo:error": Faults(error_after=40),
        "demo:exception": Faults(exception_after=40),
        "demo:busy": Faults(refuse=BUSY["TooManyRequests"]),
    }

    def __init__(
        self, credentials: Sequence[Credential] = (DEMO_CREDENTIAL,), **options: Unpack[Options]
    ) -> None:
        super().__init__(credentials, **options)
        self.feedbacks: dict[str, Feedback] = {}
        self.refusals: dict[str, Refusal] = {}
        self.next_refusals: deque[tuple[str, Refusal]] = deque()
        self.reads_forms = False
        self.ends: Sequence[str] = ("workflow_finished", "message_end")
        self._conversations = Conversations()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def waiting(self) -> list[str]:
        """Ids of the calls nobody has decided on."""
        return [call.id for _, call in self._conversations.waiting()]

    def decide(self, call_id: str, approved: bool) -> None:
        """What somebody decides in the console.

        Raises:
            KeyError: when no such call waits.
        """
        calls = {call.id: call for _, call in self._conversations.waiting()}
        calls[call_id].approved = approved

    def app(self) -> web.Application:
        """As `Service.app`, with a page at /console where a person decides on calls."""
        app = super().app()
        app.router.add_get("/console", self._console)
        app.router.add_post("/console", self._decided)
        return app

    async def stop(self) -> None:
        """As `Service.stop`; what is being generated ends."""
        await super().stop()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, request: web.Request, raw: RawRequest, received: Received) -> web.StreamResponse:
        params = received.params = asks.parameters(raw, forms=self.reads_forms)
        if received.action == "ChatMessages":
            return await self._chat(request, params, received)
        self._check_refused(received.action)
        match received.action:
            case "ChatMessagesTaskStop":
                body = await self._stop_task(params, received)
            case "ModifyMessagesFeedbacks":
                body = self._rate(params, received)
            case "GetMessages":
                conversation = self._conversation(asks.needed(params, "ConversationId"))
                body = pages.messages(conversation, params.get("FirstId", ""), asks.page(params))
                received.session_id = conversation.id
            case _:
                if params.get("SortBy", "-updated_at") != "-updated_at":
                    raise invalid("SortBy is not -updated_at; no other order is simulated.")
                found = self._conversations.latest_first()
                body = pages.conversations(found, params.get("LastId", ""), asks.page(params))
        received.outcome, received.ended = "answered", self._clock()
        text = json.dumps({"RequestId": received.request_id, **body}, ensure_ascii=False)
        return web.Response(text=text, content_type="application/json")

    def _check_refused(self, action: str) -> None:
        for entry in self.next_refusals:
            if entry[0] == action:
                self.next_refusals.remove(entry)
                raise Refused.of(entry[1])
        if action in self.refusals:
            raise Refused.of(self.refusals[action])

    async def _console(self, request: web.Request) -> web.Response:
        return web.Response(text=console.page(self._conversations.waiting()), content_type="text/html")

    async def _decided(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("call") not in self.waiting:
            raise web.HTTPNotFound(text="No such call waits.")
        self.decide(str(form["call"]), form.get("decision") == "approve")
        raise web.HTTPSeeOther("/console")

    async def _stop_task(self, params: Mapping[str, str], received: Received) -> Frame:
        message = self._conversations.task(asks.needed(params, "TaskId"))
        if message is None:
            raise invalid("TaskId is that of no task.")
        received.task_id, received.message_id = message.task_id, message.id
        if task := self._tasks.get(message.id):
            task.cancel()
            await asyncio.wait([task])
        return {"Result": "success"}

    def _rate(self, params: Mapping[str, str], received: Received) -> Frame:
        received.message_id = asks.needed(params, "MessageId")
        rating = asks.needed(params, "Rating")
        if rating not in ("like", "dislike"):
            raise invalid("Rating is neither like nor dislike.")
        if self._conversations.message(received.message_id) is None:
            raise Refused(404, "MessageNotFound", "Message Not Exists.")
        self.feedbacks[received.message_id] = Feedback(rating, params.get("Content", ""))
        return {"Result": "success"}

    async def _chat(
        self, request: web.Request, params: Mapping[str, str], received: Received
    ) -> web.StreamResponse:
        ask = asks.read(params)
        received.question, received.session_id = ask.question, ask.conversation_id
        received.agent_id = ask.inputs.get("CustomAgentId", "")
        faults = self._faults_for(ask.question)
        conversation = self._continued(ask, faults)
        self._admit(_ACCOUNT, Refused.of(BUSY["TooManyRequests"]))
        message = self._begin(ask, conversation, faults, received)
        try:
            return await self._stream(request, message.follow(), RDS, faults, received)
        finally:
            if received.outcome == "finished" and message.status == "stopped":
                received.outcome = "stopped"

    def _continued(self, ask: Ask, faults: Faults) -> Conversation:
        """The conversation asked in, or a new one; not kept yet."""
        if faults.session_expired or faults.session_replaced:
            self._conversations.forget(ask.conversation_id)
        if not ask.conversation_id or faults.session_replaced:
            return Conversation(self._uuid(), self._clock(), ask.question[:40])
        conversation = self._conversation(ask.conversation_id)
        if ask.parent_message_id not in ("", *(message.id for message in conversation.messages)):
            raise invalid("ParentMessageId is that of no message of the conversation.")
        asked = conversation.round
        if ask.resume_call_id and (
            asked is None or ask.resume_call_id not in [call.id for call in asked.calls]
        ):
            raise invalid("ResumeCallId is that of no call the conversation waits for.")
        return conversation

    def _conversation(self, conversation_id: str) -> Conversation:
        found = self._conversations.find(conversation_id)
        if found is None:
            raise Refused(404, "ConversationNotFound", "Conversation Not Exists.")
        return found

    def _begin(self, ask: Ask, conversation: Conversation, faults: Faults, received: Received) -> Message:
        now = self._clock()
        message = Message(self._uuid(), conversation.id, self._uuid(), ask.question, now)
        conversation.approval = ask.approval or conversation.approval
        conversation.updated = now
        ids: dict[str, Any] = {
            "ConversationId": conversation.id,
            "MessageId": message.id,
            "Id": message.id,
            "TaskId": message.task_id,
            "CreatedAt": int(now),
        }
        frames = spoil(self._compose(ask, conversation, message), faults, RDS)
        signed = [
            Timed(at, {"RequestId": received.request_id, "Event": frame["Event"], **ids, **frame})
            for at, frame in frames
        ]
        conversation.messages.append(message)
        self._conversations.keep(conversation)
        received.session_id, received.message_id = conversation.id, message.id
        received.task_id = message.task_id
        task = asyncio.create_task(self._generate(conversation, message, signed, faults))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._ended(conversation, message))
        return message

    def _compose(self, ask: Ask, conversation: Conversation, message: Message) -> list[Timed]:
        chosen = self._plan(ask, conversation)
        run = Run(
            actions=chosen.actions,
            instance=chosen.instance,
            region=ask.inputs.get("RegionId") or "cn-hangzhou",
            chinese=chosen.chinese,
            thinking=ask.inputs.get("EnableThinking") != "false",
            approval=conversation.approval,
            started=message.started,
            zone=_zone(ask),
            dice=self._dice,
            ends=self.ends,
        )
        if ask.resume_call_id and conversation.round:
            run.instance = conversation.instance
            frames = run.resume(conversation.round)
            if conversation.round.decided:
                conversation.round = None
            return frames
        conversation.instance, conversation.topic = chosen.instance, chosen.topic
        if conversation.approval != "read_only":
            approved = conversation.approval == "auto" or None
            message.asked = run.asked = self._round(chosen.actions, approved=approved)
        return run.compose()

    def _plan(self, ask: Ask, conversation: Conversation) -> Plan:
        """What to answer."""
        return plan(ask.question, ask.inputs.get("Language", ""), conversation.instance, conversation.topic)

    def _round(self, actions: Sequence[Action], *, approved: bool | None) -> AskedRound | None:
        writes = [write for action in actions if isinstance(action, Round) for write in action.writes]
        calls = [Call(f"call-{self._uuid()[:13]}", write, approved) for write in writes]
        return AskedRound(f"round-{self._uuid()[:8]}", calls) if calls else None

    async def _generate(
        self, conversation: Conversation, message: Message, frames: list[Timed], faults: Faults
    ) -> None:
        """Let the run happen at its pace, whoever listens; cancelled, it is stopped and says so."""
        before = 0.0
        try:
            for number, (at, frame) in enumerate(frames):
                if number == faults.hang_after:
                    await self._resumed.wait()
                await self._wait(before, at)
                before = at
                if message.asked and frame.get("ApprovalStatus") == "pending":
                    conversation.round = message.asked
                message.add(frame)
        except asyncio.CancelledError:
            message.add({**frames[0].frame, **event("workflow_finished")})
            message.close("stopped", self._clock())
            raise
        failed = not RDS.ends(frames[-1].frame)
        message.close("failed" if failed else "finished", self._clock())

    def _ended(self, conversation: Conversation, message: Message) -> None:
        if message.status == "running":  # cancelled before its first step
            message.close("stopped", self._clock())
        conversation.updated = message.finished
        del self._tasks[message.id]
        self._release(_ACCOUNT)


def _zone(ask: Ask) -> tzinfo:
    try:
        return ZoneInfo(ask.inputs.get("Timezone") or "Asia/Shanghai")
    except (ZoneInfoNotFoundError, ValueError):
        return BEIJING
