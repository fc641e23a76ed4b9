"""Invariant 9 without a clock: what an update touches does not grow with the answer."""

from __future__ import annotations

import pytest

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Progress
from bot.redact import redact
from bot.slack.reply import folds as folds_module
from bot.slack.reply import limits
from bot.slack.reply import safe as safe_module
from bot.slack.reply.draft import Draft

LINE = "A line of an answer, with `code` and a [link](https://help.example.com/x).\n"


def test_an_update_makes_safe_only_new_lines_and_draws_only_changed_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    characters = folds = 0
    call = folds_module.Folds._call

    def counting_redact(text: str) -> str:
        nonlocal characters
        characters += len(text)
        return redact(text)

    def counting_call(*arguments: object) -> object:
        nonlocal folds
        folds += 1
        return call(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(safe_module, "redact", counting_redact)
    monkeypatch.setattr(folds_module.Folds, "_call", counting_call)
    answer, draft = Answer(), Draft("0" * 32, "en", "DAS Agent")
    draft.answer, draft.progress = answer, Progress("working")
    per_update = []
    for n in range(400):
        if n % 10 == 0:
            answer.apply(ev.ToolCallStart(f"c{n}", "das_api"), float(n))
            answer.apply(ev.ToolCallResult(f"c{n}", "r" * 3_000), float(n))
        for _ in range(5):
            answer.apply(ev.TextMessageContent("m", LINE), float(n))
        characters = folds = 0
        draft.take_in()
        draft.signature(draft.count - 1)
        draft.payload(draft.count - 1)
        per_update.append((characters, folds))
    assert draft.count == limits.MESSAGES
    # New lines, one message's text beside its blocks, and the folds that changed, at each preview.
    most = 5 * len(LINE) + limits.FALLBACK + 1 + 3 * (3_000 + 600) * len(limits.PREVIEWS)
    assert max(count for count, _ in per_update) <= most
    late = per_update[100:]
    assert max(count for count, _ in late) <= 2 * max(count for count, _ in per_update[:100])
    newly_shown = limits.SHOWN_CALLS * len(limits.PREVIEWS)
    assert max(drawn for _, drawn in per_update) <= newly_shown
    assert sum(drawn for _, drawn in per_update) <= 40 * len(limits.PREVIEWS)
