"""JSON is indented as the standard library does it, and nothing is left for the garbage collector."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.reply.characters import whole_characters
from bot.slack.reply.preview import pretty, preview

_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(_values, max_size=5) | st.dictionaries(st.text(max_size=5), _values, max_size=5))
def test_json_is_indented_as_json_dumps_does_it(value: Any) -> None:
    text = json.dumps(value)
    flat = json.dumps(value, ensure_ascii=False)
    whole = json.dumps(value, ensure_ascii=False, indent=2)
    assert pretty(text) == whole_characters(flat if len(flat) <= 60 else whole)


@pytest.mark.parametrize("depth", [100, 900, 5_000])
def test_json_however_deep_is_shown(depth: int) -> None:
    text = "[" * depth + "]" * depth
    assert "".join(pretty(text).split()) == text


def test_a_preview_leaves_no_garbage() -> None:
    rows = json.dumps([{"sql": f"SELECT {n}", "ms": n / 3, "tables": ["orders", {}]} for n in range(20)])
    gc.collect()
    gc.disable()
    try:
        assert preview(rows, 500, "en").hidden
        assert gc.collect() == 0
    finally:
        gc.enable()
