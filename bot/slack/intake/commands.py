"""Slash commands that ask. They carry no thread, so their answer gets one: a visible root message, posted by a worker.

What commands have in common stands here, too: how they are declared, and how they are answered in time.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot import log, metrics
from bot.model.question import Language, Question, Thread, has_words, language_of
from bot.slack.access import Visit
from bot.slack.intake import agent_command, usage_command
from bot.slack.intake import text as spelling
from bot.slack.intake.desk import Desk
from bot.slack.words import HELP, USAGE_ASK, USAGE_DIAGNOSE, say

logger = log.get(__name__)

_DIAGNOSIS = re.compile(r"([a-z]{1,8}-[a-z0-9][a-z0-9-]{2,63})(?:\s*[,:，：、]\s*|\s+|$)(.*)", re.I | re.S)
"""One of Alibaba Cloud's instance ids (rm-…, pc-…, dds-…, r-… and so on), and what is wrong with it."""

_ANSWER_SECONDS = 2.3
"""Longest time for an answer: Slack gives 3 s for an ack, and within them the person has to hear what went wrong."""
_ACCEPT_SECONDS = 1.8
"""Longest wait for the store to take a question, of that time."""
_LANGUAGE_SECONDS = 0.4
"""Longest wait for the language of who asks, of what is left."""

COMMANDS = (
    ("/das-diagnose", "<instance> [what is wrong]", "Diagnose a database instance with DAS Agent"),
    ("/das-ask", "<question>", "Ask DAS Agent"),
    ("/rds-diagnose", "<instance> [what is wrong]", "Diagnose a database instance with RDS Copilot"),
    ("/rds-ask", "<question>", "Ask RDS Copilot"),
    ("/das-agent", "[workspace] [das | das-legacy | rds | default] [agent id]", "Which agent answers here"),
    ("/das-usage", "[days]", "What the answers cost, and what is left of the daily budgets"),
    ("/das-help", "", "What I can do, and how"),
)
"""Name, usage hint and description, as in manifest.yml."""

Answer = Callable[[dict[str, Any], Desk], Awaitable[str]]
"""What answers a command: the private line, "" for none."""


def register(app: AsyncApp, desk: Desk) -> None:
    """Listen for the commands of manifest.yml."""
    answers: dict[str, Answer] = {
        "/das-diagnose": _diagnose,
        "/das-ask": _ask,
        "/rds-diagnose": _diagnose,
        "/rds-ask": _ask,
        "/das-agent": agent_command.answer,
        "/das-usage": usage_command.answer,
        "/das-help": _help,
    }
    for name, answer in answers.items():
        app.command(name)(_in_time(answer, desk))


def _in_time(answer: Answer, desk: Desk) -> Callable[..., Awaitable[None]]:
    async def listener(ack: AsyncAck, command: dict[str, Any]) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            line = await answer(command, desk)
        await ack(line)

    return listener


async def _ask(command: dict[str, Any], desk: Desk) -> str:
    text = spelling.plain(str(command.get("text") or ""), desk.bot)
    service = _service(command)
    if not text:
        return USAGE_ASK.format(service=service)
    return await _take(command, text, await _language(text, command, desk), desk)


async def _diagnose(command: dict[str, Any], desk: Desk) -> str:
    text = spelling.plain(str(command.get("text") or ""), desk.bot)
    instance, wrong = diagnosis(text)
    if not instance:
        return USAGE_DIAGNOSE.format(service=_service(command))
    language = await _language(wrong, command, desk)
    if language == "zh":
        question = f"诊断实例 {instance}：{wrong}" if wrong else f"诊断实例 {instance}"
    else:
        question = f"Diagnose {instance}: {wrong}" if wrong else f"Diagnose {instance}"
    return await _take(command, question, language, desk)


async def _help(command: dict[str, Any], desk: Desk) -> str:
    return HELP


def _service(command: dict[str, Any]) -> str:
    """The service a command is named after: "das" of "/das-ask"."""
    return str(command["command"]).lstrip("/").partition("-")[0]


def diagnosis(text: str) -> tuple[str, str]:
    """The instance of `/das-diagnose <instance> [what is wrong]`, and what is wrong; "" for what is not said."""
    match = _DIAGNOSIS.fullmatch(text)
    return (match[1], match[2]) if match else ("", "")


async def _language(text: str, command: dict[str, Any], desk: Desk) -> Language:
    """The language of what somebody wrote, else the one they have set in Slack."""
    if has_words(text):
        return language_of(text)
    try:
        async with asyncio.timeout(_LANGUAGE_SECONDS):
            return await desk.people.language(str(command["user_id"]))
    except TimeoutError:
        return "en"


async def _take(command: dict[str, Any], text: str, language: Language, desk: Desk) -> str:
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
        backend=_service(command),
        answer_in=language,
    )
    if refused := await desk.objection(question, visit):
        metrics.QUESTIONS.labels(question.surface, "refused").inc()
        return refused
    try:
        async with asyncio.timeout(_ACCEPT_SECONDS):
            accepted = await desk.runs.accept(question)
    except (TimeoutError, exceptions.ConnectionError, exceptions.TimeoutError) as error:
        # The store may have taken it all the same: only its answer is missing.
        reference = secrets.token_hex(4)
        logger.error("accepting is uncertain", reference=reference, reason=f"{type(error).__name__}: {error}")
        return say("uncertain", question.language, reference=reference)
    return desk.noted(question, accepted)
