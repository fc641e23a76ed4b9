"""The second judge: the models of Slack's Python SDK, with the validators of every part, however deep."""

from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block, TaskCardBlock
from slack_sdk.models.messages.chunk import Chunk

from tests.judges.places import block_lists

Json = dict[str, Any]

# Fields the SDK keeps as they came although they are blocks of their own.
_UNPARSED = ("details", "output", "rich_text_title")


def judge(payload: Json) -> list[str]:
    """What is wrong with the blocks and chunks of a call's arguments; empty when nothing is."""
    problems = [problem for blocks, at in block_lists(payload) for problem in _blocks(blocks, at)]
    for number, chunk in enumerate(payload.get("chunks") or []):
        at = f"/chunks/{number}"
        problems += _parsed(Chunk.parse, chunk, at)
        if isinstance(chunk, dict):
            problems += _blocks(chunk.get("blocks"), f"{at}/blocks")
    return problems


def _blocks(blocks: Any, at: str) -> Iterator[str]:
    for number, block in enumerate(blocks if isinstance(blocks, list) else []):
        yield from _parsed(Block.parse, block, f"{at}/{number}")


def _parsed(parse: Any, value: Any, at: str) -> Iterator[str]:
    """The problems of one block or chunk: unknown to the SDK, incomplete, invalid, or not kept as it is."""
    if not isinstance(value, dict):
        yield f"{at}: not an object"
        return
    try:
        model = parse(value)
    except (TypeError, ValueError) as error:
        yield f"{at}: {error}"
        return
    if model is None:
        yield f"{at}: no known type: {value.get('type')!r}"
        return
    problems = list(_walk(model, at))
    yield from problems
    if not problems and model.get_non_null_attributes() != _without_empty(value):
        yield f"{at}: the SDK would send something else: {model.get_non_null_attributes()}"[:500]


def _walk(model: Any, at: str) -> Iterator[str]:
    """Every model at and below this one."""
    if isinstance(model, list | tuple):
        for number, item in enumerate(model):
            yield from _walk(item, f"{at}/{number}")
        return
    if not isinstance(model, JsonObject):
        return
    try:
        model.validate_json()
    except SlackObjectFormationError as error:
        yield f"{at}: {error}"
    except TypeError as error:
        yield f"{at}: not of the type the SDK expects: {error}"
    for name, value in vars(model).items():
        place = f"{at}/{name}"
        if name in _UNPARSED and isinstance(value, dict):
            yield from _parsed(Block.parse, value, place)
        elif name == "tasks" and isinstance(value, list):
            for number, task in enumerate(value):
                # In a plan a task is a card without its type.
                typed = {**task, "type": TaskCardBlock.type} if isinstance(task, dict) else task
                yield from _parsed(Block.parse, typed, f"{place}/{number}")
        else:
            yield from _walk(value, place)


def _without_empty(value: Any) -> Any:
    """The value as the SDK writes it: absent fields and empty lists are left out."""
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_empty(item) for name, item in value.items()}
    return {name: item for name, item in kept.items() if item is not None and item != [] and item != ""}
