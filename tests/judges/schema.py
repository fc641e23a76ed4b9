"""The first judge: JSON Schemas made from the types of Slack's JavaScript SDK; see slack_types/ beside this file."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Compiled: the same verdicts in a thousandth of the time that jsonschema takes for the unions below a container.
from jsonschema_rs import Draft7Validator, ValidationError

from tests.judges.places import block_lists

Json = dict[str, Any]

SCHEMA = Path(__file__).parents[1] / "data" / "slack_types.schema.json"


def judge(payload: Json) -> list[str]:
    """What is wrong with the blocks and chunks of a call's arguments; empty when nothing is."""
    problems = [problem for blocks, at in block_lists(payload) for problem in _blocks(blocks, at)]
    chunks = payload.get("chunks")
    problems += _not_a_list(chunks, "/chunks")
    for chunk, at in _items(chunks, "/chunks"):
        problems += _against("KnownChunk", chunk, at)
        if isinstance(chunk, dict) and chunk.get("type") == "blocks":
            problems += _blocks(chunk.get("blocks"), f"{at}/blocks")
    return problems


def _blocks(blocks: Any, at: str) -> Iterator[str]:
    yield from _not_a_list(blocks, at)
    for block, place in _items(blocks, at):
        yield from _against("KnownBlock", block, place)
        if isinstance(block, dict) and block.get("type") == "plan":
            # The types take any object for a task; Slack wants a card without its type.
            for task, task_at in _items(block.get("tasks"), f"{place}/tasks"):
                card = {**task, "type": "task_card"} if isinstance(task, dict) else task
                yield from _against("KnownBlock", card, task_at)


def _not_a_list(value: Any, at: str) -> Iterator[str]:
    if value is not None and not isinstance(value, list):
        yield f"{at}: not a list"


def _items(value: Any, at: str) -> Iterator[tuple[Any, str]]:
    for number, item in enumerate(value if isinstance(value, list) else []):
        yield item, f"{at}/{number}"


def _against(union: str, value: Any, at: str) -> Iterator[str]:
    """The errors of a value against the member of a union that its `type` names."""
    kind = value.get("type") if isinstance(value, dict) else None
    name = _members(union).get(str(kind))
    if name is None:
        yield f"{at}: no known type: {kind!r}"
        return
    for error in _validator(name).iter_errors(value):
        deepest = _deepest(error)
        where = "".join(f"/{part}" for part in deepest.instance_path)
        yield f"{at}{where}: {deepest.message[:300]}"


def _deepest(error: ValidationError) -> ValidationError:
    """Of what no variant of a union allows, the error of the variant that came furthest."""
    branches = getattr(error.kind, "context", [])
    within = [_deepest(inner) for branch in branches for inner in branch]
    return max(within, key=lambda inner: len(inner.instance_path), default=error)


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
