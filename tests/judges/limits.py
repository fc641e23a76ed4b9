"""The third judge: Slack's limits as the reference and reports of failures give them, in a table of its own.

It stands apart from the limits the bot keeps to and from those the local workspace enforces, so that one
wrong number is not wrong everywhere.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

MOST = {
    "text": 4_000,
    "blocks": 50,
    "view blocks": 100,
    "markdown in all": 12_000,
    # Not documented; calls were refused near 13,000.
    "blocks and text in all": 12_000,
    "tables": 1,
    "metadata bytes": 2_048,
    "block_id": 255,
    "section text": 3_000,
    "section fields": 10,
    "section field": 2_000,
    "header": 150,
    "context elements": 10,
    "actions elements": 25,
    "context_actions elements": 5,
    "button text": 75,
    "button value": 2_000,
    "container title": 150,
    "container children": 10,
    "plan tasks": 50,
    "task title": 256,
    "table rows": 100,
    "table cells": 20,
    "table characters": 10_000,
    "alert text": 3_000,
    "chunk text": 12_000,
    "chunk title, details or output": 256,
    "private_metadata": 3_000,
    "title of a view": 24,
}
IN_CONTAINER = {"actions", "context", "divider", "file", "header", "image", "input", "rich_text", "section"}
IN_CONTAINER |= {"table", "video"}
CARD_STATUSES = {"in_progress", "complete", "error"}
TASK_STATUSES = CARD_STATUSES | {"pending"}


def judge(payload: Json) -> list[str]:
    """What is beyond a limit in the arguments of a call that writes a message or opens a view, of the right shape."""
    return [*_message(payload), *_chunks(payload.get("chunks") or []), *_view(payload.get("view") or {})]


def _message(payload: Json) -> Iterator[str]:
    text, blocks = payload.get("text") or "", payload.get("blocks") or []
    yield from _within("text", len(text), "/text")
    if blocks and "text" in payload and not text.strip():
        yield "/text: empty beside blocks: notifications and screen readers would have nothing"
    yield from _within("blocks", len(blocks), "/blocks")
    whole = len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) + len(text)
    if blocks:
        yield from _within("blocks and text in all", whole, "/blocks")
    metadata = payload.get("metadata")
    if metadata:
        size = len(json.dumps(metadata, ensure_ascii=False).encode())
        yield from _within("metadata bytes", size, "/metadata")
    yield from _all_blocks(blocks, "/blocks")
    for number, attachment in enumerate(payload.get("attachments") or []):
        yield from _all_blocks(attachment.get("blocks") or [], f"/attachments/{number}/blocks")


def _chunks(chunks: list[Json]) -> Iterator[str]:
    placed = [block for chunk in chunks if chunk.get("type") == "blocks" for block in chunk.get("blocks", [])]
    yield from _within("blocks", len(placed), "/chunks")
    yield from _all_blocks(placed, "/chunks")
    for number, chunk in enumerate(chunks):
        at = f"/chunks/{number}"
        if chunk.get("type") == "markdown_text":
            yield from _within("chunk text", len(chunk.get("text", "")), at)
        for name in ("title", "details", "output"):
            yield from _within("chunk title, details or output", len(chunk.get(name) or ""), f"{at}/{name}")
        if chunk.get("type") == "task_update" and chunk.get("status") not in TASK_STATUSES:
            yield f"{at}/status: {chunk.get('status')!r} is no status of a task"


def _view(view: Json) -> Iterator[str]:
    blocks = view.get("blocks") or []
    yield from _within("view blocks", len(blocks), "/view/blocks")
    yield from _within("private_metadata", len(view.get("private_metadata") or ""), "/view/private_metadata")
    for name in ("title", "submit", "close"):
        yield from _within("title of a view", _length(view.get(name)), f"/view/{name}")
    yield from _all_blocks(blocks, "/view/blocks")


def _all_blocks(blocks: list[Json], at: str) -> Iterator[str]:
    """Each block by its own limits, then what holds for all of them together."""
    everything = list(_deep(blocks, at))
    for block, place in everything:
        yield from _within("block_id", len(block.get("block_id") or ""), place)
        check = _KINDS.get(str(block.get("type")))
        if check:
            yield from check(block, place)
    ids = Counter(block["block_id"] for block, _ in everything if block.get("block_id"))
    yield from (f"{at}: block_id {name!r} stands {n} times" for name, n in ids.items() if n > 1)
    kinds = Counter(str(block.get("type")) for block, _ in everything)
    yield from _within("tables", kinds["table"], at)
    markdown = sum(len(block["text"]) for block, _ in everything if block.get("type") == "markdown")
    yield from _within("markdown in all", markdown, at)


def _deep(blocks: list[Json], at: str) -> Iterator[tuple[Json, str]]:
    for number, block in enumerate(blocks):
        yield block, f"{at}/{number}"
        yield from _deep(block.get("child_blocks") or [], f"{at}/{number}/child_blocks")


def _within(what: str, size: int, at: str) -> Iterator[str]:
    if size > MOST[what]:
        yield f"{at}: {what}: {size} > {MOST[what]}"


def _length(text_object: Any) -> int:
    return len(text_object.get("text") or "") if isinstance(text_object, dict) else 0


def _section(block: Json, at: str) -> Iterator[str]:
    yield from _within("section text", _length(block.get("text")), at)
    fields = block.get("fields") or []
    yield from _within("section fields", len(fields), at)
    for field in fields:
        yield from _within("section field", _length(field), at)
    yield from _buttons([block["accessory"]] if "accessory" in block else [], at)


def _header(block: Json, at: str) -> Iterator[str]:
    yield from _within("header", _length(block.get("text")), at)


def _context(block: Json, at: str) -> Iterator[str]:
    yield from _within("context elements", len(block["elements"]), at)
    for element in block["elements"]:
        yield from _within("section text", _length(element), at)


def _actions(block: Json, at: str) -> Iterator[str]:
    yield from _within(f"{block['type']} elements", len(block["elements"]), at)
    yield from _buttons(block["elements"], at)


def _buttons(elements: list[Json], at: str) -> Iterator[str]:
    for element in elements:
        for button in (element, element.get("positive_button"), element.get("negative_button")):
            yield from _within("button text", _length((button or {}).get("text")), at)
            yield from _within("button value", len((button or {}).get("value") or ""), at)


def _container(block: Json, at: str) -> Iterator[str]:
    children = block.get("child_blocks") or []
    yield from _within("container children", len(children), at)
    for name in ("title", "subtitle"):
        yield from _within("container title", _length(block.get(name)), f"{at}/{name}")
    for child in children:
        if child.get("type") not in IN_CONTAINER:
            yield f"{at}: a container cannot hold {child.get('type')!r}"
    if not children:
        yield f"{at}: a container needs a child"
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        yield f"{at}: folded, but not to be unfolded"


def _card(block: Json, at: str) -> Iterator[str]:
    yield from _within("task title", len(block.get("title") or ""), at)
    if block.get("status") not in CARD_STATUSES:
        yield f"{at}/status: {block.get('status')!r} is no status of a card that stands alone"


def _plan(block: Json, at: str) -> Iterator[str]:
    tasks = block.get("tasks") or []
    yield from _within("task title", len(block.get("title") or ""), at)
    yield from _within("plan tasks", len(tasks), at)
    for number, task in enumerate(tasks):
        yield from _within("task title", len(task.get("title") or ""), f"{at}/tasks/{number}")
        if task.get("status") not in TASK_STATUSES:
            yield f"{at}/tasks/{number}/status: {task.get('status')!r} is no status of a task"
        if "type" in task:
            yield f"{at}/tasks/{number}: a task in a plan has no type"
    ids = Counter(task.get("task_id") for task in tasks)
    yield from (f"{at}: task_id {name!r} stands {n} times" for name, n in ids.items() if n > 1)


def _table(block: Json, at: str) -> Iterator[str]:
    rows = block.get("rows") or []
    yield from _within("table rows", len(rows), at)
    yield from _within("table cells", max((len(row) for row in rows), default=0), at)
    yield from _within("table characters", sum(map(_characters, rows)), at)


def _characters(value: Any) -> int:
    """Characters of every text at and below a value."""
    if isinstance(value, list):
        return sum(map(_characters, value))
    if not isinstance(value, dict):
        return 0
    own = value.get("text")
    below = sum(_characters(item) for item in value.values() if isinstance(item, dict | list))
    return below + (len(own) if isinstance(own, str) else 0)


def _alert(block: Json, at: str) -> Iterator[str]:
    yield from _within("alert text", _length(block.get("text")), at)


_KINDS: dict[str, Callable[[Json, str], Iterator[str]]] = {
    "actions": _actions,
    "alert": _alert,
    "container": _container,
    "context": _context,
    "context_actions": _actions,
    "header": _header,
    "plan": _plan,
    "section": _section,
    "table": _table,
    "task_card": _card,
}
