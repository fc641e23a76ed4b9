"""Block Kit as Slack accepts it: the checks of a whole message or view, and the ids Slack fills in."""

import copy
import json
import secrets
from collections.abc import Collection, Iterator
from typing import Any

from .block_kinds import IN_MESSAGE, IN_VIEW, MARKDOWN_MAX, block_of_kind
from .check import Check
from .errors import SlackError
from .messages import Json

MESSAGE_BLOCKS_MAX = 50
VIEW_BLOCKS_MAX = 100
# Slack documents no limit for the payload as a whole; apps were refused near 13,000 characters.
PAYLOAD_CHARACTERS_MAX = 13_000

_INTERACTIVE = {"actions", "context_actions"}


def checked_blocks(blocks: Any, refused: Collection[str] = ()) -> list[Json]:
    """The blocks of a message with missing ids filled in; `refused` are kinds not known here.

    Raises `SlackError` with `invalid_blocks_format`, `invalid_blocks` and every reason, or
    `msg_blocks_too_long`.
    """
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    errors = block_errors(blocks, refused)
    if errors:
        raise SlackError("invalid_blocks", errors, errors=[_without_level(error) for error in errors])
    if len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > PAYLOAD_CHARACTERS_MAX:
        raise SlackError("msg_blocks_too_long")
    return with_ids(blocks)


def checked_view_blocks(blocks: Any) -> list[Json]:
    """The blocks of a modal or Home view; raises `SlackError("invalid_arguments")` with the reasons."""
    check = Check()
    for block, at in check.items(
        blocks if blocks is not None else [], "/view/blocks", VIEW_BLOCKS_MAX, least=0
    ):
        block_of_kind(check, block, at, IN_VIEW)
    if check.errors:
        raise SlackError("invalid_arguments", check.errors)
    return with_ids(blocks or [])


def block_errors(blocks: list[Any], refused: Collection[str] = ()) -> list[str]:
    """Everything wrong with the blocks of a message, worded as Slack words it."""
    check = Check()
    known = [kind for kind in IN_MESSAGE if kind not in refused]
    for block, at in check.items(blocks, "/blocks", MESSAGE_BLOCKS_MAX, least=0):
        block_of_kind(check, block, at, known)
    _unique_block_ids(check, blocks)
    _sums(check, blocks)
    return check.errors


def _walk(blocks: list[Any], at: str = "/blocks") -> Iterator[tuple[Json, str]]:
    """Every block with its pointer, those inside containers too."""
    for i, block in enumerate(blocks):
        if isinstance(block, dict):
            yield block, f"{at}/{i}"
            children = block.get("child_blocks")
            if isinstance(children, list):
                yield from _walk(children, f"{at}/{i}/child_blocks")


def _unique_block_ids(check: Check, blocks: list[Any]) -> None:
    seen: set[str] = set()
    for block, at in _walk(blocks):
        block_id = block.get("block_id")
        if isinstance(block_id, str):
            if block_id in seen:
                check.fail(f"block_id already exists: {block_id}", f"{at}/block_id")
            seen.add(block_id)


def _sums(check: Check, blocks: list[Any]) -> None:
    """Limits over the message as a whole: markdown characters and tables."""
    markdown = [block for block, _ in _walk(blocks) if block.get("type") == "markdown"]
    total = sum(len(block["text"]) for block in markdown if isinstance(block.get("text"), str))
    if len(markdown) > 1 and total > MARKDOWN_MAX:
        check.fail(f"markdown blocks must have less than {MARKDOWN_MAX + 1} characters together", "/blocks")
    tables = [at for block, at in _walk(blocks) if block.get("type") == "table"]
    for at in tables[1:]:
        check.fail("only one table allowed", at)


def _without_level(error: str) -> str:
    return error.removeprefix("[ERROR] ")


def with_ids(blocks: list[Json]) -> list[Json]:
    """A copy in which every block has a block_id and every interactive element an action_id."""
    filled = copy.deepcopy(blocks)
    for block, _ in _walk(filled):
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        for item in interactive_elements(block):
            item.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    return filled


def interactive_elements(block: Json) -> list[Json]:
    """The elements of one block a person can use."""
    candidates = [*block.get("elements", [])] if block.get("type") in _INTERACTIVE else []
    candidates += [block[name] for name in ("accessory", "element") if isinstance(block.get(name), dict)]
    return [item for item in candidates if isinstance(item, dict) and item.get("type") != "image"]


def find_element(blocks: list[Json], action_id: str, block_id: str | None = None) -> tuple[Json, Json] | None:
    """The block and the element with this action_id, in that block when one is named."""
    for block, _ in _walk(blocks):
        if block_id is None or block.get("block_id") == block_id:
            for item in interactive_elements(block):
                if item.get("action_id") == action_id:
                    return block, item
    return None
