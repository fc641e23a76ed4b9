"""The services of a chaos run: they allow more runs than the bot may open, and their answers would do harm."""

from __future__ import annotations

from dataclasses import replace

from bot.demo.das import SimulatedDas, choose
from bot.demo.das.ask import Ask as DasAsk
from bot.demo.rds import SimulatedRds
from bot.demo.rds.ask import Ask as RdsAsk
from bot.demo.rds.choose import Plan as RdsPlan
from bot.demo.rds.conversations import Conversation
from bot.demo.upstream.script import Say, Text, Tool
from bot.demo.upstream.service import Received

ROOM = 1_000
"""Runs the services take at once. They refuse none, so the bot alone keeps to the limit it was given."""
SECRET = "chaos7Hidden4word"
"""A password in every answer and in every tool's result."""
PINGS = ("<!channel", "@everyone", "<@U0NOBODY01", "](javascript:")
"""What no text of an answer may do in a thread; each stands in every answer."""
_HARM = Text(
    "The last line of its log: password='{0}' for {1}> {2} {3}> and [the runbook{4}alert(1)).\n\n",
    "日志的最后一行：password='{0}'，{1}> {2} {3}>，[手册{4}alert(1))。\n\n",
)
HARMFUL = (
    Tool("DescribeErrorLogs", {"InstanceId": "{instance}"}, f"mysql://app:{SECRET}@db.internal/orders", 0.6),
    Say(Text(_HARM.en.format(SECRET, *PINGS), _HARM.zh.format(SECRET, *PINGS))),
)
"""Before everything else that is answered: the last words of an answer are compared with what was written."""


class Das(SimulatedDas):
    """DAS Agent."""

    def _plan(self, ask: DasAsk, received: Received, interrupt_id: str) -> choose.Plan:
        chosen = super()._plan(ask, received, interrupt_id)
        return replace(chosen, actions=(*HARMFUL, *chosen.actions))


class Rds(SimulatedRds):
    """RDS Copilot."""

    def _plan(self, ask: RdsAsk, conversation: Conversation) -> RdsPlan:
        chosen = super()._plan(ask, conversation)
        return replace(chosen, actions=(*HARMFUL, *chosen.actions))
