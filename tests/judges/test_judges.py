"""Each judge rejects what it must, and all of them let good messages pass."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Under importlib's import mode the root is not on the path by itself.
sys.path.insert(0, str(ROOT))

from bot.demo.workspace import Call  # noqa: E402
from tests.judges import limits, panel, schema, sdk  # noqa: E402

EXAMPLES = sorted((ROOT.parent / "shared" / "examples").glob("*.json"))

Json = dict[str, Any]


def plain(text: str = "x") -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str = "x", **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}, **more}


def rich(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def code(text: str = "SELECT 1") -> Json:
    return {"type": "rich_text_preformatted", "border": 0, "elements": [{"type": "text", "text": text}]}


def container(*children: Json, **more: Any) -> Json:
    folds = {"is_collapsible": True, "default_collapsed": True, "width": "full"}
    return {"type": "container", "title": plain(), "child_blocks": list(children), **folds, **more}


def button(**more: Any) -> Json:
    return {"type": "button", "action_id": "stop", "text": plain("Stop"), "value": "run:1", **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def card(**more: Any) -> Json:
    return {"type": "task_card", "task_id": "t1", "title": "look", "status": "complete", **more}


def task(id: str = "t1", **more: Any) -> Json:
    return {"task_id": id, "title": "look", "status": "pending", **more}


def plan(*tasks: Json, **more: Any) -> Json:
    return {"type": "plan", "title": "Steps", "tasks": list(tasks), **more}


def table(rows: int = 2, cells: int = 2, text: str = "x") -> Json:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text}] * cells for _ in range(rows)]}


def feedback() -> Json:
    good, bad = {"text": plain("Good"), "value": "good"}, {"text": plain("Bad"), "value": "bad"}
    both = {"type": "feedback_buttons", "action_id": "rate", "positive_button": good, "negative_button": bad}
    return {"type": "context_actions", "elements": [both]}


def chunk(kind: str, **more: Any) -> Json:
    return {"type": kind, **more}


def update(**more: Any) -> Json:
    return chunk("task_update", **{"id": "t1", "title": "look", "status": "in_progress", **more})


GOOD: list[Json] = [
    {"text": "only text"},
    {
        "text": "x",
        "blocks": [{"type": "markdown", "text": "**a**\n\n| a |\n|---|\n| 数 |"}, {"type": "divider"}],
    },
    {
        "text": "x",
        "blocks": [container(rich(code()), section(), table()), feedback(), actions(button(style="danger"))],
    },
    {"text": "x", "blocks": [card(details=rich(code())), plan(task(), task("t2", output=rich(code())))]},
    {"text": "x", "blocks": [{"type": "alert", "level": "error", "text": plain()}, table()]},
    {
        "text": "x",
        "blocks": [{"type": "context", "elements": [plain()]}, {"type": "header", "text": plain()}],
    },
    {
        "text": "x",
        "blocks": [
            rich({"type": "rich_text_section", "elements": [{"type": "link", "url": "https://x.example"}]})
        ],
    },
    {
        "chunks": [
            chunk("markdown_text", text="a"),
            update(details="d", output="o"),
            chunk("plan_update", title="p"),
        ]
    },
    {"chunks": [update(sources=[{"type": "url", "url": "https://example.com", "text": "x"}])]},
    {"chunks": [chunk("blocks", blocks=[section(), actions(button())])], "blocks": [feedback()]},
    {"view": {"type": "modal", "title": plain(), "blocks": [section()]}},
    {"text": "x", "attachments": [{"color": "#ffffff", "blocks": [section()]}]},
]


@pytest.mark.parametrize("payload", GOOD, ids=lambda payload: str(list(payload)))
def test_good_payloads_pass_all_judges(payload: Json) -> None:
    assert panel.judge(payload) == []


@pytest.mark.skipif(not EXAMPLES, reason="the examples lie beside the project, and are not here")
def test_the_examples_pass_all_judges() -> None:
    found = {path.name: panel.judge(json.loads(path.read_text("utf-8"))) for path in EXAMPLES}
    assert {name: problems for name, problems in found.items() if problems} == {}


WRONG_SHAPE: list[Json] = [
    {"blocks": [{"type": "banner", "text": "x"}]},
    {"blocks": [{"text": "x"}]},
    {"blocks": [{**section(), "colour": "red"}]},
    {"blocks": [container() | {"child_blocks": [{"type": "banner"}]}]},
    {"blocks": [{"type": "header"}]},
    {"blocks": [card(status="done")]},
    {"blocks": [plan(task(status="done"))]},
    {"blocks": [plan(task(details=rich({"type": "rich_text_box", "elements": []})))]},
    {"blocks": [plan({"task_id": "t1", "status": "pending"})]},
    {"blocks": [actions(button(text="Stop"))]},
    {"blocks": [rich({"type": "rich_text_section", "elements": [{"type": "text"}]})]},
    {"blocks": [{"type": "alert", "level": "fatal", "text": plain()}]},
    {"chunks": [chunk("text", text="x")]},
    {"chunks": [chunk("markdown_text", markdown="x")]},
    {"chunks": [update(status="done")]},
    {"chunks": [chunk("blocks", blocks=[{"type": "header"}])]},
    {"view": {"blocks": [{"type": "header"}]}},
    {"attachments": [{"blocks": [{"type": "header"}]}]},
    {"blocks": json.dumps([section()])},
    {"blocks": ["section"]},
    {"chunks": chunk("markdown_text", text="x")},
    {"chunks": [chunk("blocks", blocks=section())]},
]


@pytest.mark.parametrize("payload", WRONG_SHAPE, ids=lambda payload: json.dumps(payload)[:70])
def test_the_schema_rejects_wrong_shapes(payload: Json) -> None:
    assert schema.judge(payload)


FOR_THE_SDK: list[Json] = [
    {"blocks": [{"type": "banner"}]},
    {"blocks": [{"type": "section"}]},
    {"blocks": [{**section(), "colour": "red"}]},
    {"blocks": [section("x" * 3_001)]},
    {"blocks": [{"type": "header", "text": plain("x" * 151)}]},
    {"blocks": [section(block_id="x" * 256)]},
    {"blocks": [container(section("x" * 3_001))]},
    {"blocks": [container(*[section()] * 11)]},
    {"blocks": [container(section(), title=plain("x" * 151))]},
    {"blocks": [container(actions(button(text=plain("x" * 76))))]},
    {"blocks": [actions(*[button()] * 26)]},
    {"blocks": [actions(button(value="x" * 2_001))]},
    {"blocks": [card(status="done")]},
    {"blocks": [plan(task(status="done"))]},
    {"blocks": [plan(task(details=section("x" * 3_001)))]},
    {"blocks": [plan(task() | {"colour": "red"})]},
    {"blocks": [{"type": "markdown", "text": "x" * 12_001}]},
    {"chunks": [chunk("text", text="x")]},
    {"chunks": [chunk("markdown_text")]},
    {"chunks": [chunk("plan_update", title="x", icon="y")]},
    {"chunks": [chunk("blocks", blocks=[section("x" * 3_001)])]},
    {"view": {"blocks": [section("x" * 3_001)]}},
    {"attachments": [{"blocks": [section("x" * 3_001)]}]},
]


@pytest.mark.parametrize("payload", FOR_THE_SDK, ids=lambda payload: json.dumps(payload)[:70])
def test_the_sdk_rejects_what_its_validators_know(payload: Json) -> None:
    assert sdk.judge(payload)


def message(*blocks: Json, **more: Any) -> Json:
    return {"text": "x", "blocks": list(blocks), **more}


BEYOND: list[tuple[Json, str]] = [
    ({"text": "x" * 4_001}, "/text: text"),
    (message(section(), text=" "), "/text: empty"),
    (message(*[{"type": "divider"}] * 51), "blocks: 51"),
    (message(section(block_id="a"), container(section(block_id="a"))), "block_id 'a' stands 2 times"),
    (message(section(block_id="x" * 256)), "block_id: 256"),
    (message(*[section("x" * 2_500)] * 5), "blocks and text in all"),
    (message(section("x" * 2_900), *[section("x" * 2_900)] * 2, text="x" * 3_900), "blocks and text in all"),
    (message(*[{"type": "markdown", "text": "x" * 6_001}] * 2), "markdown in all: 12002"),
    (message(metadata={"event_type": "x", "event_payload": {"a": "数" * 700}}), "metadata bytes"),
    (message(section("x" * 3_001)), "section text: 3001"),
    (message(section(fields=[plain()] * 11)), "section fields: 11"),
    (message(section(fields=[plain("x" * 2_001)])), "section field: 2001"),
    (message({"type": "header", "text": plain("x" * 151)}), "header: 151"),
    (message({"type": "context", "elements": [plain()] * 11}), "context elements: 11"),
    (message(actions(*[button()] * 26)), "actions elements: 26"),
    (message({"type": "context_actions", "elements": [button()] * 6}), "context_actions elements: 6"),
    (message(actions(button(text=plain("x" * 76)))), "button text: 76"),
    (message(section(accessory=button(value="x" * 2_001))), "button value: 2001"),
    (message(container(*[section()] * 11)), "container children: 11"),
    (message(container()), "needs a child"),
    (message(container(section(), title=plain("x" * 151))), "container title: 151"),
    (message(container(section(), subtitle=plain("x" * 151))), "container title: 151"),
    (message(container(section(), is_collapsible=False)), "not to be unfolded"),
    *(
        (message(container(child)), f"cannot hold {child['type']!r}")
        for child in ({"type": "markdown", "text": "x"}, container(section()), card(), plan(task()))
    ),
    (message(card(status="pending")), "stands alone"),
    (message(card(title="x" * 257)), "task title: 257"),
    (message(plan(*[task(f"t{n}") for n in range(51)])), "plan tasks: 51"),
    (message(plan(task(), task())), "task_id 't1' stands 2 times"),
    (message(plan(task(type="task_card"))), "has no type"),
    (message(plan(task(status="done"))), "no status of a task"),
    (message(table(), table()), "tables: 2"),
    (message(table(), container(table())), "tables: 2"),
    (message(table(rows=101)), "table rows: 101"),
    (message(table(cells=21)), "table cells: 21"),
    (message(table(rows=2, cells=1, text="x" * 5_001)), "table characters: 10002"),
    (message({"type": "alert", "text": plain("x" * 3_001)}), "alert text: 3001"),
    ({"chunks": [update(title="x" * 257)]}, "chunk title, details or output: 257"),
    ({"chunks": [update(output="x" * 257)]}, "chunk title, details or output: 257"),
    ({"chunks": [chunk("plan_update", title="x" * 257)]}, "chunk title, details or output: 257"),
    ({"chunks": [chunk("markdown_text", text="x" * 12_001)]}, "chunk text: 12001"),
    ({"chunks": [update(status="done")]}, "no status of a task"),
    ({"chunks": [chunk("blocks", blocks=[section()] * 26)] * 2}, "blocks: 52"),
    ({"chunks": [chunk("blocks", blocks=[section("x" * 3_001)])]}, "section text: 3001"),
    ({"attachments": [{"blocks": [section("x" * 3_001)]}]}, "section text: 3001"),
    ({"view": {"blocks": [section()] * 101}}, "view blocks: 101"),
    ({"view": {"title": plain("x" * 25)}}, "title of a view: 25"),
    ({"view": {"private_metadata": "x" * 3_001}}, "private_metadata: 3001"),
]


@pytest.mark.parametrize(
    ("payload", "reason"), BEYOND, ids=lambda part: part if isinstance(part, str) else ""
)
def test_the_table_rejects_what_is_beyond_a_limit(payload: Json, reason: str) -> None:
    assert [problem for problem in limits.judge(payload) if reason in problem]


def test_every_limit_of_the_table_is_one_a_payload_can_break() -> None:
    broken = " ".join(problem for payload, _ in BEYOND for problem in limits.judge(payload))
    assert [name for name in limits.MOST if f" {name}: " not in broken] == []


def test_a_workspaces_calls_are_judged_by_what_they_wrote() -> None:
    bad = {"text": "x", "blocks": [{"type": "banner"}]}
    calls = [Call("chat.update", bad, 0.0), Call("conversations.replies", bad, 0.0)]
    found = panel.judge_calls(calls)
    assert len(found) == 2 and all(line.startswith("chat.update: s") for line in found)


def test_of_a_wrong_part_deep_in_a_union_the_place_is_told() -> None:
    payload = message(
        container(section(), rich({"type": "rich_text_section", "elements": [{"type": "text"}]}))
    )
    assert any(line.startswith("/blocks/0/child_blocks/1/elements/0") for line in schema.judge(payload))


def test_what_has_the_wrong_shape_is_not_measured_but_found_wrong() -> None:
    assert panel.judge(message({"type": "context", "elements": "x"}))
    assert panel.judge(message(container() | {"child_blocks": ["x"]}))


def test_the_schema_carries_the_notice_of_what_it_was_made_from() -> None:
    comment = json.loads(schema.SCHEMA.read_text("utf-8"))["$comment"]
    package = json.loads((Path(__file__).parent / "slack_types" / "package.json").read_text("utf-8"))
    version = package["devDependencies"]["@slack/types"]
    assert f"@slack/types {version} " in comment and "MIT License" in comment
    lock = (Path(__file__).parent / "slack_types" / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
