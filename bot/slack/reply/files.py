"""What of a reply is handed out as a file when it has ended, because no message can hold it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bot.model.answer import Answer
from bot.model.call import ToolCall
from bot.model.question import Language
from bot.slack.reply import limits
from bot.slack.reply.characters import shortened
from bot.slack.reply.folds import call_title
from bot.slack.reply.preview import pretty, so_far
from bot.slack.reply.safe import SafeText, literal
from bot.slack.words import say

_RULE = "-" * 78


@dataclass(frozen=True, slots=True)
class File:
    """A text file: its name with its ending, a title for people, and what it holds, made safe already."""

    name: str
    title: str
    text: str


def whole_answer(answer: Answer, reference: str, language: Language) -> File:
    """The answer as Markdown."""
    safe = SafeText()
    text = "".join([*safe.feed(answer.text), *safe.finish(is_cut=not answer.finished)])
    return File(f"answer-{reference}.md", say("whole_answer", language), _cut(text, language))


def all_calls(answer: Answer, reference: str, language: Language) -> File:
    """Every tool call with its arguments and its result, in the order they were made."""
    parts: list[str] = []
    length = 0
    for call in answer.calls.values():
        part = _call(call, language, limits.FILE - length)
        parts.append(part)
        length += len(part)
        if length >= limits.FILE:
            break
    return File(f"tool-calls-{reference}.txt", say("all_calls", language), f"\n{_RULE}\n\n".join(parts))


def _call(call: ToolCall, language: Language, room: int) -> str:
    lines = [call_title(call, language), ""]
    for heading, text in (("arguments", call.arguments), ("error", call.error), ("result", call.result)):
        if text:
            # Redacted first: a secret that is cut in half looks like none.
            shown = _cut(literal(pretty(so_far(text, call.state))), language, max(room, 1))
            lines += [f"{say(heading, language)}:", shown, ""]
            room -= len(shown)
    return "\n".join(lines)


def _cut(text: str, language: Language, most: int = limits.FILE) -> str:
    if len(text) <= most:
        return text
    return f"{shortened(text, most)}\n\n{say('file_cut', language, total=f'{len(text):,}')}\n"
