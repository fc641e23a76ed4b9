"""Every limit and rule of blocks is enforced, with the reason and the place, and good blocks pass."""

import json
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from bot.demo.workspace import SlackError
from bot.demo.workspace.blocks import block_errors, checked_blocks, checked_view_blocks, find_element

EXAMPLES = Path(__file__).parents[3] / "shared" / "examples"


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def section(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(text), **more}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain("Stop"), "action_id": "stop", **more}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(elements)}


def code(text: str = "SELECT 1", **more: Any) -> dict[str, Any]:
    return {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}], **more}


def container(*children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "container", "title": plain("call"), "child_blocks": list(children), **more}


def table(rows: int, cells: int, text: str = "x") -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text}] * cells for _ in range(rows)]}


def task(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"task_id": f"t{number}", "title": "look", "status": "pending", **more}


def feedback(**more: Any) -> dict[str, Any]:
    good, bad = {"text": plain("Good"), "value": "good"}, {"text": plain("Bad"), "value": "bad"}
    buttons = {
        "type": "feedback_buttons",
        "positive_button": good,
        "negative_button": bad,
        "action_id": "rate",
    }
    return {"type": "context_actions", "elements": [buttons | more]}


GOOD: dict[str, list[dict[str, Any]]] = {
    "50 blocks": [{"type": "divider"}] * 50,
    "section at its limit": [section("x" * 3_000)],
    "section fields": [{"type": "section", "fields": [mrkdwn("x" * 2_000)] * 5}],
    "header at its limit": [{"type": "header", "text": plain("x" * 150)}],
    "markdown at its limit": [{"type": "markdown", "text": "x" * 12_000}],
    "context": [{"type": "context", "elements": [mrkdwn("x"), plain("y")] * 5}],
    "actions": [{"type": "actions", "elements": [button(action_id=f"b{i}") for i in range(25)]}],
    "button at its limits": [
        {"type": "actions", "elements": [button(text=plain("x" * 75), value="x" * 2_000, style="danger")]}
    ],
    "block_id at its limit": [section(block_id="x" * 255)],
    "fold": [
        container(
            rich({"type": "rich_text_section", "elements": []}, code(border=0)),
            title=plain("x" * 150),
            subtitle=mrkdwn("x" * 150),
            width="full",
            is_collapsible=True,
            default_collapsed=True,
        )
    ],
    "ten children": [container(*[{"type": "divider"}] * 10)],
    "table at its limits": [table(100, 20)],
    "table with 10,000 characters": [table(1, 1, "x" * 10_000)],
    "plan": [{"type": "plan", "title": "plan", "tasks": [task(i, output=rich(code())) for i in range(50)]}],
    "task card": [{"type": "task_card", **task(status="complete")}],
    "alert": [{"type": "alert", "text": plain("careful"), "level": "warning"}],
    "feedback": [feedback()],
    "icon button": [
        {
            "type": "context_actions",
            "elements": [{"type": "icon_button", "icon": "trash", "text": plain("Remove")}],
        }
    ],
    "list": [
        rich(
            {
                "type": "rich_text_list",
                "style": "bullet",
                "indent": 1,
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [
                            {"type": "user", "user_id": "U1"},
                            {"type": "link", "url": "https://example.com", "text": "there"},
                            {"type": "text", "text": "bold", "style": {"bold": True}},
                        ],
                    }
                ],
            }
        )
    ],
    "image": [{"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}],
    "card": [{"type": "card", "title": mrkdwn("x" * 150), "body": mrkdwn("x" * 200), "actions": [button()]}],
    "menu": [
        section(
            accessory={
                "type": "static_select",
                "placeholder": plain("Which"),
                "action_id": "pick",
                "options": [{"text": plain("One"), "value": "1"}],
            }
        )
    ],
}

BAD: list[tuple[str, list[Any], str, str]] = [
    ("51 blocks", [{"type": "divider"}] * 51, "no more than 50 items allowed", "/blocks"),
    ("not an object", ["section"], "must be an object", "/blocks/0"),
    ("no type", [{"text": mrkdwn("x")}], "missing required field: type", "/blocks/0"),
    ("unknown type", [{"type": "fold"}], "unsupported type: fold", "/blocks/0/type"),
    ("unknown field", [section(colour="red")], "invalid additional property: colour", "/blocks/0"),
    ("empty section", [{"type": "section"}], "missing required field: text", "/blocks/0"),
    ("empty text", [section("")], "must be more than 0 characters", "/blocks/0/text/text"),
    ("text as string", [{"type": "section", "text": "x"}], "must be an object", "/blocks/0/text"),
    ("section too long", [section("x" * 3_001)], "must be less than 3001 characters", "/blocks/0/text/text"),
    (
        "eleven fields",
        [{"type": "section", "fields": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed",
        "/blocks/0/fields",
    ),
    (
        "header too long",
        [{"type": "header", "text": plain("x" * 151)}],
        "must be less than 151 characters",
        "/blocks/0/text/text",
    ),
    (
        "header in mrkdwn",
        [{"type": "header", "text": mrkdwn("x")}],
        "unsupported type",
        "/blocks/0/text/type",
    ),
    (
        "emoji on mrkdwn",
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}}],
        "invalid additional property: emoji",
        "/blocks/0/text",
    ),
    (
        "markdown too long",
        [{"type": "markdown", "text": "x" * 12_001}],
        "must be less than 12001 characters",
        "/blocks/0/text",
    ),
    (
        "markdown too long together",
        [{"type": "markdown", "text": "x" * 6_001}] * 2,
        "markdown blocks must have less than 12001 characters together",
        "/blocks",
    ),
    (
        "eleven context elements",
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed",
        "/blocks/0/elements",
    ),
    ("empty context", [{"type": "context", "elements": []}], "no fewer than 1", "/blocks/0/elements"),
    (
        "26 buttons",
        [{"type": "actions", "elements": [button(action_id=str(i)) for i in range(26)]}],
        "no more than 25 items allowed",
        "/blocks/0/elements",
    ),
    (
        "same action_id",
        [{"type": "actions", "elements": [button(), button()]}],
        "action_id already exists: stop",
        "/blocks/0/elements/1/action_id",
    ),
    (
        "button text",
        [{"type": "actions", "elements": [button(text=plain("x" * 76))]}],
        "must be less than 76 characters",
        "/blocks/0/elements/0/text/text",
    ),
    (
        "button value",
        [{"type": "actions", "elements": [button(value="x" * 2_001)]}],
        "must be less than 2001 characters",
        "/blocks/0/elements/0/value",
    ),
    (
        "button style",
        [{"type": "actions", "elements": [button(style="default")]}],
        "must be a valid enum value",
        "/blocks/0/elements/0/style",
    ),
    (
        "feedback in actions",
        [{"type": "actions", "elements": feedback()["elements"]}],
        "unsupported type: feedback_buttons",
        "/blocks/0/elements/0/type",
    ),
    (
        "button in context_actions",
        [{"type": "context_actions", "elements": [button()]}],
        "unsupported type: button",
        "/blocks/0/elements/0/type",
    ),
    (
        "feedback without value",
        [feedback(negative_button={"text": plain("Bad")})],
        "missing required field: value",
        "/blocks/0/elements/0/negative_button",
    ),
    ("block_id", [section(block_id="x" * 256)], "must be less than 256 characters", "/blocks/0/block_id"),
    (
        "same block_id",
        [section(block_id="a"), section(block_id="a")],
        "block_id already exists: a",
        "/blocks/1/block_id",
    ),
    (
        "same block_id inside a fold",
        [section(block_id="a"), container(section(block_id="a"))],
        "block_id already exists: a",
        "/blocks/1/child_blocks/0/block_id",
    ),
    (
        "container title",
        [container(section(), title=plain("x" * 151))],
        "must be less than 151 characters",
        "/blocks/0/title/text",
    ),
    (
        "container subtitle",
        [container(section(), subtitle=plain("x" * 151))],
        "must be less than 151 characters",
        "/blocks/0/subtitle/text",
    ),
    ("empty container", [container()], "no fewer than 1 items allowed", "/blocks/0/child_blocks"),
    (
        "eleven children",
        [container(*[section()] * 11)],
        "no more than 10 items allowed",
        "/blocks/0/child_blocks",
    ),
    (
        "collapsed but not collapsible",
        [container(section(), default_collapsed=True)],
        "default_collapsed requires is_collapsible",
        "/blocks/0/default_collapsed",
    ),
    ("container width", [container(section(), width="big")], "must be a valid enum value", "/blocks/0/width"),
    ("101 rows", [table(101, 1)], "no more than 100 items allowed", "/blocks/0/rows"),
    ("21 cells", [table(1, 21)], "no more than 20 items allowed", "/blocks/0/rows/0"),
    ("10,001 characters", [table(2, 1, "x" * 5_001)], "no more than 10000 characters", "/blocks/0/rows"),
    ("two tables", [table(1, 1), table(1, 1)], "only one table allowed", "/blocks/1"),
    (
        "51 tasks",
        [{"type": "plan", "title": "p", "tasks": [task(i) for i in range(51)]}],
        "no more than 50 items allowed",
        "/blocks/0/tasks",
    ),
    (
        "same task_id",
        [{"type": "plan", "title": "p", "tasks": [task(), task()]}],
        "task_id already exists: t1",
        "/blocks/0/tasks/1/task_id",
    ),
    (
        "task with type in a plan",
        [{"type": "plan", "title": "p", "tasks": [task(type="task_card")]}],
        "invalid additional property: type",
        "/blocks/0/tasks/0",
    ),
    (
        "status in a plan",
        [{"type": "plan", "title": "p", "tasks": [task(status="done")]}],
        "must be a valid enum value",
        "/blocks/0/tasks/0/status",
    ),
    (
        "pending outside a plan",
        [{"type": "task_card", **task()}],
        "must be a valid enum value",
        "/blocks/0/status",
    ),
    (
        "task details as list",
        [{"type": "task_card", **task(status="complete", details=[rich(code())])}],
        "must be an object",
        "/blocks/0/details",
    ),
    (
        "alert level",
        [{"type": "alert", "text": plain("x"), "level": "bad"}],
        "must be a valid enum value",
        "/blocks/0/level",
    ),
    (
        "bold code",
        [rich({"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U1"}]})],
        "unsupported type: user",
        "/blocks/0/elements/0/elements/0/type",
    ),
    ("empty code", [rich(code(""))], "must be more than 0", "/blocks/0/elements/0/elements/0/text"),
    ("rich text without elements", [{"type": "rich_text"}], "missing required field: elements", "/blocks/0"),
    (
        "list style",
        [rich({"type": "rich_text_list", "style": "dash", "elements": []})],
        "must be a valid enum value",
        "/blocks/0/elements/0/style",
    ),
    (
        "broadcast range",
        [rich({"type": "rich_text_section", "elements": [{"type": "broadcast", "range": "all"}]})],
        "must be a valid enum value",
        "/blocks/0/elements/0/elements/0/range",
    ),
    ("image without address", [{"type": "image", "alt_text": "a"}], "exactly one of image_url", "/blocks/0"),
]


@pytest.mark.parametrize("name", GOOD)
def test_what_slack_accepts_is_accepted(name: str) -> None:
    assert block_errors(GOOD[name]) == []


@pytest.mark.parametrize("case", BAD, ids=lambda case: str(case[0]))
def test_what_slack_refuses_is_refused_with_reason_and_place(case: tuple[str, list[Any], str, str]) -> None:
    _, blocks, reason, place = case
    with pytest.raises(SlackError) as refused:
        checked_blocks(blocks)
    assert refused.value.code == "invalid_blocks"
    fitting = [e for e in refused.value.messages if reason in e and e.endswith(f"[json-pointer:{place}]")]
    assert fitting, refused.value.messages


@pytest.mark.parametrize(
    "child",
    [{"type": "markdown", "text": "x"}, container(section()), {"type": "task_card", **task()}, feedback()],
)
def test_a_container_takes_only_plain_children(child: dict[str, Any]) -> None:
    (error,) = block_errors([container(child)])
    assert f"unsupported type: {child['type']}" in error


def test_a_payload_far_too_long_is_refused_as_a_whole() -> None:
    with pytest.raises(SlackError, match="msg_blocks_too_long"):
        checked_blocks([section("x" * 3_000)] * 5)


@pytest.mark.parametrize("blocks", [{"type": "section"}, "x", 3])
def test_blocks_that_are_no_list_have_the_wrong_format(blocks: Any) -> None:
    with pytest.raises(SlackError, match="invalid_blocks_format"):
        checked_blocks(blocks)


def test_missing_ids_are_filled_in_and_the_callers_blocks_stay_as_they_were() -> None:
    given = [section(accessory={"type": "button", "text": plain("Go")}), container(section())]
    before = json.dumps(given)
    filled = checked_blocks(given)
    assert json.dumps(given) == before
    ids = [filled[0]["block_id"], filled[1]["block_id"], filled[1]["child_blocks"][0]["block_id"]]
    assert len(set(ids)) == 3 and all(ids)
    assert find_element(filled, filled[0]["accessory"]["action_id"]) == (filled[0], filled[0]["accessory"])


def test_a_view_takes_a_hundred_blocks_and_no_plan() -> None:
    assert len(checked_view_blocks([section()] * 100)) == 100
    with pytest.raises(SlackError, match="invalid_arguments"):
        checked_view_blocks([section()] * 101)
    with pytest.raises(SlackError, match="invalid_arguments"):
        checked_view_blocks([{"type": "plan", "title": "p"}])


def judge(value: Any) -> None:
    """Slack's Python SDK looks at every block, those inside others too."""
    if isinstance(value, dict):
        if value.get("type") not in ("plain_text", "mrkdwn", None):
            block = Block.parse(value)
            if block is not None:
                block.validate_json()
        for child in value.get("child_blocks", []):
            judge(child)


# Slack's SDK looks at lengths of these; the rest it does not check at all.
SDK_SEES = ["section too long", "eleven fields", "header too long", "eleven context elements", "26 buttons"]
SDK_SEES += [
    "button text",
    "button value",
    "container title",
    "container subtitle",
    "eleven children",
    "alert level",
]


@pytest.mark.parametrize("name", GOOD)
def test_the_sdk_has_nothing_against_what_is_accepted(name: str) -> None:
    for block in GOOD[name]:
        judge(block)


@pytest.mark.parametrize("name", SDK_SEES)
def test_what_the_sdk_refuses_is_refused_here(name: str) -> None:
    blocks = next(case[1] for case in BAD if case[0] == name)
    parsed = Block.parse(blocks[0])
    assert parsed is not None
    with pytest.raises(SlackObjectFormationError):
        parsed.to_dict()
    assert block_errors(blocks)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the example replies are not beside this repository")
def test_example_replies_are_accepted() -> None:
    files = sorted(EXAMPLES.glob("*.json"))
    assert files
    for file in files:
        assert block_errors(json.loads(file.read_text())["blocks"]) == [], file.name
