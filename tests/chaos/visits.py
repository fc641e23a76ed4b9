"""People who may not ask, or not there, ask all the same."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bot.demo.workspace import Done
from tests.chaos.check import Asked, token
from tests.chaos.ground import CHANNELS, ELSEWHERE, NOBODY, OUTSIDER, PEOPLE, Ground, now
from tests.chaos.rules import TOLD_SECONDS, Unwelcome

PLACES = {
    "outsider": (OUTSIDER, CHANNELS[2]),
    "person": (NOBODY, CHANNELS[0]),
    "direct": (NOBODY, f"D{NOBODY[1:]}"),
    "channel": (PEOPLE[0], ELSEWHERE),
    "command": (NOBODY, CHANNELS[1]),
}
"""Who asks where."""
_FIRST_NUMBER = 9_000
"""Of their questions, so that they are told from those that are answered."""


class Visits:
    """Their questions, one after another: a private line does not say which question it answers."""

    def __init__(self, ground: Ground) -> None:
        self.all: list[Unwelcome] = []
        self._ground = ground
        self._turn = asyncio.Lock()
        for user, channel in PLACES.values():
            ground.workspace.channels[channel].members.add(user)

    async def ask(self, what: str) -> str:
        """Ask, and wait for the line that refuses."""
        async with self._turn:
            user, channel = PLACES[what]
            number = _FIRST_NUMBER + len(self.all)
            visit = Unwelcome(Asked(number, what, user, channel, f"why is {token(number)} slow?", now()))
            self.all.append(visit)
            workspace = self._ground.workspace
            known = len(workspace.ephemerals(user, channel))
            if what == "command":
                done = await workspace.command(user, channel, "/das-ask", visit.asked.text)
                visit.told_at = now() if _is_told(done) else 0.0
            else:
                mention = "" if what == "direct" else "@das "
                visit.asked.ts = workspace.say(user, channel, mention + visit.asked.text)
                with suppress(TimeoutError):
                    await workspace.until(
                        lambda: len(workspace.ephemerals(user, channel)) > known, TOLD_SECONDS
                    )
                    visit.told_at = now()
            return f"question {number}: {'told' if visit.told_at else 'not told'}"


def _is_told(done: Done) -> bool:
    response = done.response if isinstance(done.response, dict) else {"text": done.response}
    return done.ok and bool(response.get("text"))
