"""Checks of each kind of block, with the limits of Slack's Block Kit reference."""

from collections.abc import Collection
from typing import Any

from .block_elements import ALT_TEXT_MAX, IN_ACTIONS, IN_CONTEXT_ACTIONS, IN_INPUT, IN_SECTION, element, image
from .block_texts import URL_MAX, plain_text, rich_text, text_object
from .check import BLOCK_ID_MAX, Check, Checker
from .messages import Json

SECTION_FIELDS_MAX = 10
SECTION_FIELD_TEXT_MAX = 2_000
HEADER_MAX = 150
CONTEXT_ELEMENTS_MAX = 10
ACTIONS_ELEMENTS_MAX = 25
CONTEXT_ACTIONS_MAX = 5
CONTAINER_TITLE_MAX = 150
CONTAINER_CHILDREN_MAX = 10
TABLE_ROWS_MAX = 100
TABLE_CELLS_MAX = 20
TABLE_CHARACTERS_MAX = 10_000
PLAN_TASKS_MAX = 50
LABEL_MAX = 2_000
IMAGE_TITLE_MAX = 2_000
VIDEO_TITLE_MAX = 200
MARKDOWN_MAX = 12_000
# No length is documented for the titles of tasks; streams bound them at 256 characters.
TASK_TITLE_MAX = 256
CARD_TITLE_MAX = 150
CARD_BODY_MAX = 200
CAROUSEL_CARDS_MAX = 10


def _section(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type"}, {"block_id", "text", "fields", "accessory", "expand"})
    if block.get("text") is None and block.get("fields") is None:
        check.fail("missing required field: text", at)
    text_object(check, block.get("text"), f"{at}/text")
    for field, place in check.items(block.get("fields"), f"{at}/fields", SECTION_FIELDS_MAX):
        text_object(check, field, place, SECTION_FIELD_TEXT_MAX)
    element(check, block.get("accessory"), f"{at}/accessory", IN_SECTION)
    check.flag(block, at, "expand")


def _divider(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type"}, {"block_id"})


def _header(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "text"}, {"block_id", "level"})
    plain_text(check, block.get("text"), f"{at}/text", HEADER_MAX)


def _markdown(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "text"}, {"block_id"})
    check.string(block.get("text"), f"{at}/text", MARKDOWN_MAX)


def _context(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "elements"}, {"block_id"})
    for item, place in check.items(block.get("elements"), f"{at}/elements", CONTEXT_ELEMENTS_MAX):
        kind = check.kind(item, place, ("image", "mrkdwn", "plain_text"))
        if kind == "image":
            image(check, item, place)
        elif kind:
            text_object(check, item, place)


def _actions(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "elements"}, {"block_id"})
    _elements(check, block, at, ACTIONS_ELEMENTS_MAX, IN_ACTIONS)


def _context_actions(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "elements"}, {"block_id"})
    _elements(check, block, at, CONTEXT_ACTIONS_MAX, IN_CONTEXT_ACTIONS)


def _elements(check: Check, block: Json, at: str, most: int, allowed: tuple[str, ...]) -> None:
    """The elements of a block; an action_id may stand only once in it."""
    seen: set[str] = set()
    for item, place in check.items(block.get("elements"), f"{at}/elements", most):
        element(check, item, place, allowed)
        action_id = item.get("action_id") if isinstance(item, dict) else None
        if isinstance(action_id, str) and action_id in seen:
            check.fail(f"action_id already exists: {action_id}", f"{place}/action_id")
        elif isinstance(action_id, str):
            seen.add(action_id)


def _image(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "alt_text"}, {"block_id", "image_url", "slack_file", "title"})
    if ("image_url" in block) == ("slack_file" in block):
        check.fail("exactly one of image_url and slack_file is required", at)
    check.string(block.get("image_url"), f"{at}/image_url", URL_MAX)
    check.string(block.get("alt_text"), f"{at}/alt_text", ALT_TEXT_MAX)
    plain_text(check, block.get("title"), f"{at}/title", IMAGE_TITLE_MAX)


def _input(check: Check, block: Json, at: str) -> None:
    optional = {"block_id", "hint", "optional", "dispatch_action"}
    check.object(block, at, {"type", "label", "element"}, optional)
    plain_text(check, block.get("label"), f"{at}/label", LABEL_MAX)
    plain_text(check, block.get("hint"), f"{at}/hint", LABEL_MAX)
    element(check, block.get("element"), f"{at}/element", IN_INPUT)
    check.flag(block, at, "optional", "dispatch_action")


def _file(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "external_id", "source"}, {"block_id"})
    check.one_of(block.get("source"), f"{at}/source", ("remote",))


def _video(check: Check, block: Json, at: str) -> None:
    required = {"type", "alt_text", "title", "thumbnail_url", "video_url"}
    extra = {"title_url", "description", "provider_icon_url", "provider_name", "author_name", "block_id"}
    check.object(block, at, required, extra)
    plain_text(check, block.get("title"), f"{at}/title", VIDEO_TITLE_MAX - 1)


def _table(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "rows"}, {"block_id", "column_settings"})
    characters = 0
    for row, row_at in check.items(block.get("rows"), f"{at}/rows", TABLE_ROWS_MAX):
        for cell, cell_at in check.items(row, row_at, TABLE_CELLS_MAX):
            _cell(check, cell, cell_at)
            characters += _text_length(cell)
    if characters > TABLE_CHARACTERS_MAX:
        check.fail(f"must have no more than {TABLE_CHARACTERS_MAX} characters in all cells", f"{at}/rows")
    settings = check.items(block.get("column_settings"), f"{at}/column_settings", TABLE_CELLS_MAX)
    for setting, place in settings:
        if setting is not None and check.object(setting, place, (), {"align", "is_wrapped"}) is not None:
            check.one_of(setting.get("align"), f"{place}/align", ("left", "center", "right"))
            check.flag(setting, place, "is_wrapped")


def _cell(check: Check, cell: Any, at: str) -> None:
    kind = check.kind(cell, at, ("raw_text", "raw_number", "rich_text"))
    if kind == "rich_text":
        rich_text(check, cell, at)
    elif kind == "raw_text":
        check.object(cell, at, {"type", "text"})
        check.string(cell.get("text"), f"{at}/text", TABLE_CHARACTERS_MAX)
    elif kind == "raw_number":
        check.object(cell, at, {"type", "value"}, {"text"})


def _text_length(value: Any) -> int:
    """Characters of every `text` below a value."""
    if isinstance(value, list):
        return sum(_text_length(item) for item in value)
    if not isinstance(value, dict):
        return 0
    own = len(value["text"]) if isinstance(value.get("text"), str) else 0
    return own + sum(_text_length(item) for item in value.values() if isinstance(item, dict | list))


_TASK_FIELDS = {"details", "output", "sources"}


def _task(check: Check, task: Json, at: str, statuses: tuple[str, ...]) -> None:
    check.string(task.get("task_id"), f"{at}/task_id", BLOCK_ID_MAX)
    check.string(task.get("title"), f"{at}/title", TASK_TITLE_MAX)
    check.one_of(task.get("status"), f"{at}/status", statuses)
    for name in ("details", "output"):
        if task.get(name) is not None and check.kind(task[name], f"{at}/{name}", ("rich_text",)):
            rich_text(check, task[name], f"{at}/{name}")
    for source, place in check.items(task.get("sources"), f"{at}/sources", most=100):
        check.object(source, place, {"type", "url", "text"})


def _task_card(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "task_id", "title", "status"}, _TASK_FIELDS | {"block_id"})
    # `pending` exists only inside a plan.
    _task(check, block, at, ("in_progress", "complete", "error"))


def _plan(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "title"}, {"tasks", "block_id"})
    check.string(block.get("title"), f"{at}/title", TASK_TITLE_MAX)
    seen: set[str] = set()
    for task, place in check.items(block.get("tasks"), f"{at}/tasks", PLAN_TASKS_MAX):
        if check.object(task, place, {"task_id", "title", "status"}, _TASK_FIELDS) is None:
            continue
        _task(check, task, place, ("pending", "in_progress", "complete", "error"))
        if str(task.get("task_id")) in seen:
            check.fail(f"task_id already exists: {task['task_id']}", f"{place}/task_id")
        seen.add(str(task.get("task_id")))


def _alert(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "text"}, {"block_id", "level"})
    text_object(check, block.get("text"), f"{at}/text")
    check.one_of(block.get("level"), f"{at}/level", ("default", "info", "warning", "error", "success"))


def _card(check: Check, block: Json, at: str) -> None:
    parts = {"hero_image", "icon", "title", "subtitle", "body", "actions"}
    check.object(block, at, {"type"}, parts | {"block_id"})
    if not any(block.get(name) for name in ("hero_image", "title", "body", "actions")):
        check.fail("at least one of hero_image, title, actions, body is required", at)
    for name, most in (("title", CARD_TITLE_MAX), ("subtitle", CARD_TITLE_MAX), ("body", CARD_BODY_MAX)):
        text_object(check, block.get(name), f"{at}/{name}", most)
    for name in ("hero_image", "icon"):
        element(check, block.get(name), f"{at}/{name}", ("image",))
    for item, place in check.items(block.get("actions"), f"{at}/actions", ACTIONS_ELEMENTS_MAX):
        element(check, item, place, ("button",))


def _carousel(check: Check, block: Json, at: str) -> None:
    check.object(block, at, {"type", "elements"}, {"block_id"})
    for card, place in check.items(block.get("elements"), f"{at}/elements", CAROUSEL_CARDS_MAX):
        if check.kind(card, place, ("card",)):
            _card(check, card, place)


def _container(check: Check, block: Json, at: str) -> None:
    looks = {"width", "icon", "is_collapsible", "default_collapsed", "has_header_divider"}
    heads = {"title", "rich_text_title", "subtitle"}
    check.object(block, at, {"type", "child_blocks"}, looks | heads | {"block_id"})
    if block.get("title") is None and block.get("rich_text_title") is None:
        check.fail("missing required field: title", at)
    plain_text(check, block.get("title"), f"{at}/title", CONTAINER_TITLE_MAX)
    title = block.get("rich_text_title")
    if title is not None and check.kind(title, f"{at}/rich_text_title", ("rich_text",)):
        rich_text(check, title, f"{at}/rich_text_title")
    text_object(check, block.get("subtitle"), f"{at}/subtitle", CONTAINER_TITLE_MAX)
    check.one_of(block.get("width"), f"{at}/width", ("narrow", "standard", "wide", "full"))
    element(check, block.get("icon"), f"{at}/icon", ("image",))
    check.flag(block, at, "is_collapsible", "default_collapsed", "has_header_divider")
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        check.fail("default_collapsed requires is_collapsible", f"{at}/default_collapsed")
    if block.get("has_header_divider") and block.get("is_collapsible"):
        check.fail("has_header_divider cannot be set on a collapsible block", f"{at}/has_header_divider")
    for child, place in check.items(block.get("child_blocks"), f"{at}/child_blocks", CONTAINER_CHILDREN_MAX):
        block_of_kind(check, child, place, IN_CONTAINER)


_CHECKERS: dict[str, Checker] = {
    "actions": _actions,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "context": _context,
    "context_actions": _context_actions,
    "divider": _divider,
    "file": _file,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "plan": _plan,
    "rich_text": rich_text,
    "section": _section,
    "table": _table,
    "task_card": _task_card,
    "video": _video,
}
IN_MESSAGE = tuple(_CHECKERS)
IN_CONTAINER = (
    "actions",
    "context",
    "divider",
    "file",
    "header",
    "image",
    "input",
    "rich_text",
    "section",
    "table",
    "video",
)
# Views take what messages take, except what belongs to answers of agents.
IN_VIEW = tuple(kind for kind in IN_MESSAGE if kind not in ("plan", "task_card", "context_actions", "file"))


def block_of_kind(check: Check, block: Any, at: str, allowed: Collection[str]) -> None:
    """One block of a kind that may stand here."""
    kind = check.kind(block, at, allowed)
    if kind is not None:
        check.string(block.get("block_id"), f"{at}/block_id", BLOCK_ID_MAX)
        _CHECKERS[kind](check, block, at)
