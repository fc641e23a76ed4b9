"""Chosen agents, of channels and of their workspace; a thread is moved once per message."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.model.question import Thread
from bot.store import keys
from bot.store.choices import WORKSPACE, Choices
from bot.store.sessions import Agent, Sessions

THREAD = Thread("T1", "C1", "1.0")


@pytest.mark.parametrize("agent", [Agent("rds"), Agent("das", "ag-1"), Agent("das-legacy", "ag-2")])
async def test_a_channel_and_its_workspace_choose_apart(redis: Redis, agent: Agent) -> None:
    choices = Choices(redis)
    everywhere = Agent("das", "ag-all")
    assert await choices.both("T1", "C1") == (None, None)
    await choices.set("T1", WORKSPACE, everywhere)
    assert await choices.both("T1", "C1") == (None, everywhere)
    await choices.set("T1", "C1", agent)
    assert await choices.both("T1", "C1") == (agent, everywhere)
    assert await choices.both("T1", "C2") == (None, everywhere)
    assert await choices.both("T2", "C1") == (None, None)
    assert await choices.anywhere("T1") == {agent, everywhere}
    assert await choices.anywhere("T2") == frozenset()
    await choices.unset("T1", "C1")
    await choices.unset("T1", "C1")
    assert await choices.both("T1", "C1") == (None, everywhere)
    await choices.unset("T1", WORKSPACE)
    assert await choices.both("T1", "C1") == (None, None)


async def test_a_choice_that_is_looked_at_lives_on(redis: Redis) -> None:
    choices = Choices(redis)
    await choices.set("T1", "C1", Agent("rds"))
    await redis.pexpire(keys.choices("T1"), 60_000)
    await choices.both("T1", "C9")
    assert await redis.pttl(keys.choices("T1")) > keys.CHOICES_LIFE - 60_000


async def test_a_message_moves_its_thread_once(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await sessions.session_of(THREAD, Agent("das", "ag-1"), named_by_service=False)
    assert await sessions.move(THREAD, Agent("rds"), "1.1")
    moved = await sessions.session_of(THREAD, Agent("rds"), named_by_service=True)
    assert (moved.agent, moved.session_id) == (Agent("rds"), "")
    assert await sessions.move(THREAD, Agent("das", "ag-1"), "1.2")
    # The first message is delivered again: what was said later stands.
    assert not await sessions.move(THREAD, Agent("rds"), "1.1")
    back = await sessions.session_of(THREAD, Agent("das"), named_by_service=False)
    assert back.agent == Agent("das", "ag-1") and back.session_id not in ("", first.session_id)
