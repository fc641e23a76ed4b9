"""Answers in a terminal: live while they grow, and Slack's blocks as text."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from bot.model.answer import Answer, CallState
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.redact import redact
from bot.slack.reply import layout
from bot.slack.reply.folds import call_title

_STYLES = {CallState.DONE: "green", CallState.FAILED: "red", CallState.UNFINISHED: "yellow"}


def live(answer: Answer, elapsed: float, language: Language) -> RenderableType:
    """An answer that grows: what it does now, its tool calls, its text."""
    status = layout.status(answer, Progress("working"), elapsed, language).replace("*", "")
    parts: list[RenderableType] = [Text(f"⏳ {status}", style="dim"), *_calls(answer)]
    if answer.has_text:
        parts.append(Markdown(redact(answer.text)))
    return Group(*parts)


def final(answer: Answer, ending: Ending, footer: str) -> RenderableType:
    """An answer that has ended."""
    parts: list[RenderableType] = _calls(answer)
    if answer.has_text:
        parts.append(Markdown(redact(answer.text)))
    if ending.reason:
        parts.append(Panel(Text(ending.reason), border_style="red"))
    parts.append(Text(footer.replace("`", ""), style="dim"))
    return Group(*parts)


def blocks(payload: dict[str, Any]) -> RenderableType:
    """One Slack message's blocks as they would read."""
    return Group(*(_block(block) for block in payload["blocks"]))


def _calls(answer: Answer) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"· {step.label}", style="cyan") for step in answer.steps if not answer.calls_of(step)
    ]
    for call in answer.calls.values():
        line = Text(call_title(call), style=_STYLES.get(call.state, "yellow"))
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
        return Text(" ".join(element["text"] for element in block["elements"]), style="dim")
    if kind == "alert":
        return Panel(Text(block["text"]["text"]), border_style="red")
    if kind == "section":
        return Text(block["text"]["text"])
    labels = [element.get("text", {}).get("text") or "👍 👎" for element in block.get("elements", [])]
    return Text("  ".join(f"[ {label} ]" for label in labels), style="bold")


def _rich(element: dict[str, Any]) -> str:
    return "".join(str(part.get("text", "")) for part in element["elements"])
