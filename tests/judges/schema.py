"""The first judge: JSON Schemas made from the types of Slack's JavaScript SDK; see slack_types/ beside this file."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

Json = dict[str, Any]

SCHEMA = Path(__file__).parents[1] / "data" / "slack_types.schema.json"


def judge(payload: Json) -> list[str]:
    """What is wrong with the `blocks`, `chunks` and `view` of a call's arguments; empty when nothing is."""
    view = payload.get("view") or {}
    problems = [*_blocks(payload.get("blocks"), "/blocks"), *_blocks(view.get("blocks"), "/view/blocks")]
    for chunk, at in _items(payload.get("chunks"), "/chunks"):
        problems += _against("KnownChunk", chunk, at)
        if isinstance(chunk, dict) and chunk.get("type") == "blocks":
            problems += _blocks(chunk.get("blocks"), f"{at}/blocks")
    return problems


def _blocks(blocks: Any, at: str) -> Iterator[str]:
    for block, place in _items(blocks, at):
        yield from _against("KnownBlock", block, place)
        if isinstance(block, dict) and block.get("type") == "plan":
            # The types take any object for a task; Slack wants a card without its type.
            for task, task_at in _items(block.get("tasks"), f"{place}/tasks"):
                card = {**task, "type": "task_card"} if isinstance(task, dict) else task
                yield from _against("KnownBlock", card, task_at)


def _items(value: Any, at: str) -> Iterator[tuple[Any, str]]:
    for number, item in enumerate(value if isinstance(value, list) else []):
        yield item, f"{at}/{number}"


def _against(union: str, value: Any, at: str) -> list[str]:
    """The errors of a value against the member of a union that its `type` names."""
    kind = value.get("type") if isinstance(value, dict) else None
    name = _members(union).get(str(kind))
    if name is None:
        return [f"{at}: no known type: {kind!r}"]
    found = []
    for error in _validator(name).iter_errors(value):
        deepest = best_match([error]) or error
        where = "".join(f"/{part}" for part in deepest.absolute_path)
        found.append(f"{at}{where}: {deepest.message[:300]}")
    return found


@cache
def _definitions() -> Json:
    loaded: Json = json.loads(SCHEMA.read_text("utf-8"))["definitions"]
    return loaded


@cache
def _members(union: str) -> dict[str, str]:
    """The names of a union's members by the `type` each of them has."""
    names = [option["$ref"].rpartition("/")[2] for option in _definitions()[union]["anyOf"]]
    return {_type_of(_definitions()[name]): name for name in names}


def _type_of(definition: Json) -> str:
    """The `type` every variant of a definition has."""
    properties = definition.get("properties") or definition["anyOf"][0]["properties"]
    return str(properties["type"]["const"])


@cache
def _validator(name: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": _definitions()})
