"""The part of the cloud console that a demo needs: a page where a person decides on tools that wait. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bot.demo.rds.conversations import Call, Conversation
from bot.demo.upstream.script import compact

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated console</title>
<style>body{{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}}
form{{border:1px solid #ccc;border-radius:8px;padding:1em;margin:1em 0}}
code{{display:block;overflow-wrap:anywhere;margin:.5em 0}}</style>
<h1>Tools that wait for a decision</h1>{forms}</html>"""

_FORM = """<form method="post"><b>{description}</b><code>{tool} {arguments}</code>
<input type="hidden" name="call" value="{call}"><button name="decision" value="approve">Approve</button>
<button name="decision" value="reject">Reject</button></form>"""


def page(waiting: Sequence[tuple[Conversation, Call]]) -> str:
    """The page as HTML, one form a call."""
    forms = [_form(conversation.instance, call) for conversation, call in waiting]
    return _PAGE.format(forms="".join(forms) or "<p>None at the moment.</p>")


def _form(instance: str, call: Call) -> str:
    texts = {
        "description": call.write.description.en,
        "tool": call.write.tool,
        "arguments": compact(dict(call.write.arguments)),
    }
    filled = {name: escape(text.replace("{instance}", instance)) for name, text in texts.items()}
    return _FORM.format(call=escape(call.id), **filled)
