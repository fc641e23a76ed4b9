"""Answers in a terminal: live while they grow, and Slack's blocks as text."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.panel import Panel
from rich.segment import Segment
from rich.text import Text

from bot.model.answer import Answer
from bot.model.call import CallState
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.redact import redact
from bot.slack.reply import layout
from bot.slack.reply.folds import call_title

_LINK = re.compile(r"<(https?://[^<>|]+)(?:\|([^<>]*))?>")
_STYLES = {CallState.DONE: "green", CallState.FAILED: "red", CallState.UNFINISHED: "yellow"}


def live(answer: Answer, elapsed: float, language: Language) -> RenderableType:
    """An answer that grows: its tool calls, its text, and below them, where it does not move, what it does now."""
    status = layout.status(answer, Progress("working"), elapsed, language).replace("*", "")
    return _Tail(Group(*_body(answer), Text(f"⏳ {status}", style="dim")))


def final(answer: Answer, ending: Ending, footer: str) -> RenderableType:
    """An answer that has ended."""
    parts = _body(answer)
    if ending.reason:
        parts.append(Panel(Text(ending.reason), border_style="red"))
    parts.append(Text(_plain(footer), style="dim"))
    return Group(*parts)


class _Tail:
    """The last lines of something, as many as the terminal has: one wants to see what is being written."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The height is lifted for the drawing: rich would fill or cut from below.
        lines = console.render_lines(self._whole, options.update(height=None), pad=False)
        for number, line in enumerate(lines[-max(1, console.size.height - 1) :]):
            if number:
                yield Segment.line()
            yield from line


def blocks(payload: dict[str, Any]) -> RenderableType:
    """One Slack message's blocks as they would read."""
    return Group(*(_block(block) for block in payload["blocks"]))


def _body(answer: Answer) -> list[RenderableType]:
    parts = _calls(answer)
    if answer.has_text:
        parts += [*([Text()] if parts else []), Markdown(redact(answer.text)), Text()]
    parts += [Text(redact(f"· {each.title} {each.url}"), style="dim") for each in answer.sources]
    return parts


def _plain(mrkdwn: str) -> str:
    """Slack's markup as a terminal shows it: links as their label and address, what stands for < > & as these."""
    text = _LINK.sub(lambda link: f"{link[2]} ({link[1]})" if link[2] else link[1], mrkdwn)
    text = text.replace("`", "").replace("*", "").strip("_")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _calls(answer: Answer) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"· {step.label}", style="cyan") for step in answer.steps if not answer.calls_of(step)
    ]
    for call in answer.calls.values():
        line = Text(call_title(call, "en"), style=_STYLES.get(call.state, "yellow"))
        lines.append(line)
        if call.error:
            lines.append(Text(f"  {redact(call.error)[:300]}", style="red"))
    return lines


def _block(block: dict[str, Any]) -> RenderableType:
    kind = block["type"]
    if kind == "markdown":
        return Markdown(block["text"])
    if kind == "container":
        fold = "▸" if block["default_collapsed"] else "▾"
        title = f"{fold} {block['title']['text']}"
        children = Group(*(_block(child) for child in block["child_blocks"]))
        subtitle = block.get("subtitle", {}).get("text")
        return Panel(children, title=Text(title), title_align="left", subtitle=subtitle, border_style="blue")
    if kind == "rich_text":
        return Text("\n".join(_rich(element) for element in block["elements"]))
    if kind == "context":
        return Text(_plain(" ".join(element["text"] for element in block["elements"])), style="dim")
    if kind == "alert":
        return Panel(Text(_plain(block["text"]["text"])), border_style="red")
    if kind == "section":
        return Text(_plain(block["text"]["text"]))
    labels = [element.get("text", {}).get("text") or "👍 👎" for element in block.get("elements", [])]
    return Text("  ".join(f"[ {label} ]" for label in labels), style="bold")


def _rich(element: dict[str, Any]) -> str:
    return "".join(str(part.get("text", "")) for part in element["elements"])
