"""Modals: opened by a click, filled in and submitted or closed by a person, over both of Slack's ways."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import NothingToClick, Workspace

CHANNEL, ANA, BEN = "C0DBOPS001", "U0ANA00001", "U0BEN00001"


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def asks(block_id: str, action_id: str, **more: Any) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": action_id, **more.pop("element", {})}
    return {"type": "input", "block_id": block_id, "label": plain("Say"), "element": element, **more}


CHOICE = asks(
    "why-block",
    "why",
    optional=True,
    element={"type": "static_select", "options": [{"text": plain("Slow"), "value": "slow"}]},
)
VIEW = {
    "type": "modal",
    "callback_id": "comment",
    "private_metadata": "run:1",
    "title": plain("Your comment"),
    "submit": plain("Send"),
    "close": plain("Cancel"),
    "notify_on_close": True,
    "blocks": [
        asks("comment-block", "comment", element={"multiline": True, "min_length": 2, "max_length": 20}),
        CHOICE,
    ],
}
BUTTON = {"type": "button", "action_id": "open", "text": plain("Comment")}


class CommentBot:
    """Opens a modal at a click and answers its submission with `answer`."""

    def __init__(self, workspace: Workspace) -> None:
        self.client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        self.app = AsyncApp(client=self.client, signing_secret=workspace.signing_secret)
        self.answer: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self.app.action("open")(self.open)
        self.app.view("comment")(self.submitted)
        self.app.view_closed("comment")(self.closed)

    async def open(self, ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=VIEW)
        await ack()

    async def submitted(self, ack: Any, body: dict[str, Any]) -> None:
        self.heard.append(body)
        await ack(**self.answer)

    async def closed(self, ack: Any, body: dict[str, Any]) -> None:
        self.heard.append(body)
        await ack()


@pytest.fixture
async def bot(workspace: Workspace, attach: Any) -> CommentBot:
    """The bot, with its modal before Ana."""
    bot = CommentBot(workspace)
    await attach(workspace, bot.app)
    blocks = [{"type": "actions", "elements": [BUTTON]}]
    ts = (await bot.client.chat_postMessage(channel=CHANNEL, text="x", blocks=blocks))["ts"]
    assert (await workspace.click(ANA, CHANNEL, ts, "open")).ok
    modal = workspace.modal(ANA)
    assert modal is not None and modal["title"]["text"] == "Your comment"
    assert workspace.modal(BEN) is None, "a modal belongs to whoever clicked"
    return bot


async def test_what_is_typed_and_chosen_reaches_the_app(workspace: Workspace, bot: CommentBot) -> None:
    done = await workspace.submit_modal(ANA, {"comment": "数据对，谢谢", "why": "slow"})
    assert done.ok and workspace.modal(ANA) is None
    (body,) = bot.heard
    assert (body["type"], body["user"]["id"], body["team"]["id"]) == ("view_submission", ANA, "T0DEMO00001")
    view = body["view"]
    assert (view["callback_id"], view["private_metadata"]) == ("comment", "run:1")
    values = view["state"]["values"]
    assert values["comment-block"]["comment"] == {"type": "plain_text_input", "value": "数据对，谢谢"}
    assert values["why-block"]["why"]["selected_option"]["value"] == "slow"
    with pytest.raises(NothingToClick):
        await workspace.submit_modal(ANA, {"comment": "again"})


@pytest.mark.parametrize("typed", ["", "  ", "x", "x" * 21])
async def test_what_slack_itself_refuses_does_not_reach_the_app(
    workspace: Workspace, bot: CommentBot, typed: str
) -> None:
    done = await workspace.submit_modal(ANA, {"comment": typed})
    assert not done.ok and list(done.errors) == ["comment-block"]
    assert bot.heard == [] and workspace.modal(ANA) is not None
    for wrong in ({"comment": "fine", "why": "fast"}, {"comment": "fine", "no_such": "x"}):
        with pytest.raises(NothingToClick):
            await workspace.submit_modal(ANA, wrong)


async def test_the_app_may_refuse_a_field_or_show_another_view(workspace: Workspace, bot: CommentBot) -> None:
    bot.answer = {"response_action": "errors", "errors": {"comment-block": "Say more."}}
    done = await workspace.submit_modal(ANA, {"comment": "meh"})
    assert (done.ok, done.errors) == (False, {"comment-block": "Say more."})
    bot.answer = {"response_action": "errors", "errors": {"no-such": "x"}}
    assert "name no block" in (await workspace.submit_modal(ANA, {"comment": "meh"})).error
    bot.answer = {"response_action": "update", "view": {**VIEW, "title": plain("x" * 25)}}
    assert (await workspace.submit_modal(ANA, {"comment": "meh"})).error == "invalid_arguments"
    before = workspace.modal(ANA)
    thanks = {"type": "modal", "title": plain("Thanks"), "blocks": []}
    bot.answer = {"response_action": "update", "view": thanks}
    assert (await workspace.submit_modal(ANA, {"comment": "meh"})).ok
    modal = workspace.modal(ANA)
    assert before and modal and (modal["id"], modal["title"]["text"]) == (before["id"], "Thanks")
    assert modal["hash"] != before["hash"]


async def test_a_closed_modal_is_heard_of_where_the_view_asked_for_it(
    workspace: Workspace, bot: CommentBot
) -> None:
    modal = workspace.modal(ANA)
    assert (await workspace.close_modal(ANA)).ok
    assert workspace.modal(ANA) is None and modal is not None
    (body,) = bot.heard
    assert (body["type"], body["view"]["id"], body["is_cleared"]) == ("view_closed", modal["id"], False)
    quiet = {**VIEW, "notify_on_close": False}
    await bot.client.views_open(trigger_id=workspace.state.new_trigger(BEN), view=quiet)
    deliveries = len(workspace.deliveries)
    assert (await workspace.close_modal(BEN)).ok and len(workspace.deliveries) == deliveries


async def test_a_modal_can_be_changed_while_it_is_open(workspace: Workspace, client: AsyncWebClient) -> None:
    opened = await client.views_open(trigger_id=workspace.state.new_trigger(ANA), view=VIEW)
    view_id, hash = opened["view"]["id"], opened["view"]["hash"]
    changed = {**VIEW, "title": plain("Other")}
    await client.views_update(view_id=view_id, hash=hash, view=changed)
    modal = workspace.modal(ANA)
    assert modal is not None and modal["title"]["text"] == "Other"
    for given, error in (
        ({"view_id": view_id, "hash": hash}, "hash_conflict"),
        ({"view_id": "V0"}, "not_found"),
    ):
        with pytest.raises(SlackApiError) as refused:
            await client.views_update(view=VIEW, **given)
        assert refused.value.response["error"] == error


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": None}, "missing required field: title"),
        ({"title": plain("x" * 25)}, "/view/title/text"),
        ({"submit": None}, "missing required field: submit"),
        ({"submit": {"type": "mrkdwn", "text": "Send"}}, "unsupported type: mrkdwn"),
        ({"close": plain("")}, "/view/close/text"),
        ({"private_metadata": "x" * 3_001}, "/view/private_metadata"),
        ({"color": "red"}, "invalid additional property: color"),
        ({"blocks": [{"type": "divider"}] * 101}, "no more than 100 items"),
        ({"blocks": [asks("b", "a", element={"max_length": 3_001})]}, "/max_length"),
        ({"blocks": [asks("b", "a", element={"rows": 3})]}, "invalid additional property: rows"),
        (
            {"blocks": [{"type": "task_card", "task_id": "t", "title": "x", "status": "complete"}]},
            "unsupported",
        ),
    ],
)
async def test_views_slack_would_refuse(
    workspace: Workspace, client: AsyncWebClient, change: dict[str, Any], reason: str
) -> None:
    view = {name: value for name, value in {**VIEW, **change}.items() if value is not None}
    with pytest.raises(SlackApiError) as refused:
        await client.views_open(trigger_id=workspace.state.new_trigger(ANA), view=view)
    answer = refused.value.response
    assert answer["error"] == "invalid_arguments"
    assert any(reason in message for message in answer["response_metadata"]["messages"])
    assert workspace.modal(ANA) is None


async def test_nobody_answers_a_submission(make_workspace: Any, connect: Any) -> None:
    workspace = await make_workspace(event_url="http://127.0.0.1:9/")
    await connect(workspace).views_open(trigger_id=workspace.state.new_trigger(ANA), view=VIEW)
    done = await workspace.submit_modal(ANA, {"comment": "hello"})
    assert (done.ok, done.error) == (False, "dispatch_failed")
    assert workspace.modal(ANA) is not None, "what was typed is not lost"
