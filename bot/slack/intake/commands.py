"""Slash commands. They carry no thread, so their answer gets one: a visible root message, posted by a worker."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.model.question import Question, Thread, language_of
from bot.slack.access import Visit
from bot.slack.intake import text as spelling
from bot.slack.intake.desk import Desk
from bot.slack.words import HELP, USAGE_ASK, USAGE_DIAGNOSE, say
from bot.store.runs import MOST_WAITING

_INSTANCE = re.compile(r"^[a-z]{1,8}-[a-z0-9][a-z0-9-]{2,63}$", re.I)
"""Alibaba Cloud's instance ids: rm-…, pc-…, dds-…, r-… and so on."""

_STORE_SECONDS = 2.0
"""Longest wait for the store: Slack gives 3 s for an ack, and within them the person has to hear what went wrong."""

COMMANDS = (
    ("/das-diagnose", "<instance> [what is wrong]", "Diagnose a database instance"),
    ("/das-ask", "<question>", "Ask the database agent"),
    ("/das-help", "", "What I can do, and how"),
)
"""Name, usage hint and description, as in manifest.yml."""


def register(app: AsyncApp, desk: Desk) -> None:
    """Listen for the commands of manifest.yml."""

    async def ask(ack: AsyncAck, command: dict[str, Any]) -> None:
        text = spelling.plain(str(command.get("text") or ""), desk.bot)
        await ack(await _take(command, text, desk) if text else USAGE_ASK)

    async def diagnose(ack: AsyncAck, command: dict[str, Any]) -> None:
        text = spelling.plain(str(command.get("text") or ""), desk.bot)
        question = diagnosis(text)
        await ack(await _take(command, question, desk) if question else USAGE_DIAGNOSE)

    async def help_(ack: AsyncAck) -> None:
        await ack(HELP)

    app.command("/das-ask")(ask)
    app.command("/das-diagnose")(diagnose)
    app.command("/das-help")(help_)


def diagnosis(text: str) -> str:
    """The question behind `/das-diagnose <instance> [what is wrong]`, "" when no instance is named."""
    instance, wrong = [*text.split(None, 1), "", ""][:2]
    if not _INSTANCE.match(instance):
        return ""
    if language_of(wrong) == "zh":
        return f"诊断实例 {instance}：{wrong}"
    return f"Diagnose {instance}: {wrong}" if wrong else f"Diagnose {instance}"


async def _take(command: dict[str, Any], text: str, desk: Desk) -> str:
    """Accept a command's question; returns the private line that answers the command, "" for none."""
    channel, user = str(command["channel_id"]), str(command["user_id"])
    visit = Visit(user, str(command.get("user_team") or command.get("team_id") or ""), channel)
    question = Question(
        thread=Thread(desk.team, channel, ""),
        ts=f"command-{command['trigger_id']}",
        user=user,
        user_team=visit.user_team,
        text=text,
        surface="command",
        response_url=str(command.get("response_url") or ""),
    )
    if refused := desk.objection(question, visit):
        return refused
    async with asyncio.timeout(_STORE_SECONDS):
        accepted = await desk.runs.accept(question)
    return say("full", question.language, count=MOST_WAITING) if accepted.verdict == "full" else ""
