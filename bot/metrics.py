"""Every metric of the bot, as Prometheus reads it from /metrics. The one place that names them.

Counted is what this process does; a deployment's figure is the sum over its replicas. Only `das_bot_shared_…` is read
from Redis and the same in each replica. No label holds an id of a person, a channel or a run, nor any text;
agents are the few an operator configured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bot import __version__

# A second series for each, which nothing here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds, for one call of Redis or a turn of the event loop."""
_CALL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
"""Seconds, for one call of Slack; after 15 it is given up."""
_PERSON = (0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60, 120, 300, 600, 1800)
"""Seconds, for what a person waits for."""

Info("das_bot_build", "Which das-bot this is.", registry=REGISTRY).info({"version": __version__})

# -- questions and runs ----------------------------------------------------------------------------------

QUESTIONS = Counter(
    "das_bot_questions",
    "Questions that came in, by surface and by what became of them: accepted, duplicate, full, crowded, decided, "
    "refused (for whom or where, for want of words or budget, or too long).",
    ["surface", "verdict"],
    registry=REGISTRY,
)
INTAKE_FAILURES = Counter(
    "das_bot_intake_failures",
    "Deliveries of Slack that could not be taken in. It delivers them again, but for commands, whose authors are told.",
    registry=REGISTRY,
)
RUNS = Counter(
    "das_bot_runs",
    "Runs that ended, by service and final state; unshown where Slack let nobody see it.",
    ["backend", "state"],
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "das_bot_run_seconds",
    "From a question's acceptance to its final state.",
    ["backend"],
    buckets=_PERSON,
    registry=REGISTRY,
)
WORKING = Gauge(
    "das_bot_threads_working",
    "Threads this process works on; those that only wait for a slot are not counted, nor bounded by MAX_RUNS.",
    registry=REGISTRY,
)
RUNNING = Gauge("das_bot_runs_running", "Runs open upstream.", ["backend"], registry=REGISTRY)
WAITING = Gauge(
    "das_bot_runs_waiting",
    "Runs that wait for another in their thread (thread) or for one of the agent's slots (slot).",
    ["for"],
    registry=REGISTRY,
)
SLOT_WAIT_SECONDS = Histogram(
    "das_bot_slot_wait_seconds", "How long a run waited for its slot.", buckets=_PERSON, registry=REGISTRY
)
FIRST_WORDS_SECONDS = Histogram(
    "das_bot_first_words_seconds",
    "From a question's acceptance until its answer's first words stand in Slack.",
    buckets=_PERSON,
    registry=REGISTRY,
)
STALENESS_SECONDS = Histogram(
    "das_bot_reply_staleness_seconds",
    "How old the oldest news was that an update of a reply brought.",
    buckets=_PERSON,
    registry=REGISTRY,
)
LEASES_LOST = Counter(
    "das_bot_leases_lost", "Threads that another worker took from this one.", registry=REGISTRY
)
TAKEOVERS = Counter(
    "das_bot_threads_taken_over", "Threads of dead workers that this one went on with.", registry=REGISTRY
)
RECOVERIES = Counter(
    "das_bot_runs_recovered",
    "Runs a dead worker had asked, which this one brought to their end.",
    registry=REGISTRY,
)

# -- services --------------------------------------------------------------------------------------------

UPSTREAM_CALLS = Counter(
    "das_bot_upstream_calls",
    "Requests to Alibaba Cloud, by action and result: the HTTP status, for a stream that of its end; why there is none "
    "(Connect, Cut, Silence, …); RunError: told in the stream; Left: we hung up, after a stop.",
    ["action", "result"],
    registry=REGISTRY,
)
UPSTREAM_FIRST_WORDS_SECONDS = Histogram(
    "das_bot_upstream_first_words_seconds",
    "From asking a service to its first words.",
    ["backend"],
    buckets=_PERSON,
    registry=REGISTRY,
)

# -- Slack -----------------------------------------------------------------------------------------------

SLACK_CALLS = Counter(
    "das_bot_slack_calls",
    "Calls of Slack's Web API by method and result: ok, ratelimited (429), uncertain (no answer, 5xx), or a refusal.",
    ["method", "result"],
    registry=REGISTRY,
)
SLACK_SECONDS = Histogram(
    "das_bot_slack_call_seconds", "Slack's time to answer.", ["method"], buckets=_CALL, registry=REGISTRY
)
SLACK_WAIT_SECONDS = Histogram(
    "das_bot_slack_budget_wait_seconds",
    "How long a call waited for Slack's budget.",
    ["method"],
    buckets=_PERSON,
    registry=REGISTRY,
)

# -- Redis -----------------------------------------------------------------------------------------------

REDIS_SECONDS = Histogram(
    "das_bot_redis_seconds",
    "Redis's time for one script; for beat, and for slot where held ones are renewed, one round trip for many of them.",
    ["script"],
    buckets=_FAST,
    registry=REGISTRY,
)
REDIS_FAILURES = Counter(
    "das_bot_redis_failures",
    "Scripts Redis did not do, by kind of error.",
    ["script", "error"],
    registry=REGISTRY,
)
SHARED_WAITING = Gauge(
    "das_bot_shared_waiting_runs",
    "Runs in the whole deployment that were accepted and not asked yet, whatever they wait for.",
    registry=REGISTRY,
)
SHARED_OLDEST_SECONDS = Gauge(
    "das_bot_shared_oldest_waiting_seconds",
    "How long the one of them that came first has waited.",
    registry=REGISTRY,
)
SHARED_THREADS = Gauge(
    "das_bot_shared_threads",
    "Threads with work in the whole deployment: taken by a worker, or waiting until one has room.",
    ["state"],
    registry=REGISTRY,
)
SHARED_SLOTS = Gauge(
    "das_bot_shared_slots",
    "Slots of each agent in the whole deployment: held by runs, or waited for.",
    ["agent", "state"],
    registry=REGISTRY,
)

# -- the process -----------------------------------------------------------------------------------------

LOOP_LAG_SECONDS = Histogram(
    "das_bot_event_loop_lag_seconds",
    "How late the event loop was to go on.",
    buckets=_FAST,
    registry=REGISTRY,
)
READY = Gauge(
    "das_bot_ready",
    "Whether a part works: redis, slack, credentials; as /readyz tells.",
    ["part"],
    registry=REGISTRY,
)

_LAG_SECONDS = 0.5
"""How often the event loop's lag is measured."""


def render() -> bytes:
    """All of them in Prometheus's text format."""
    return generate_latest(REGISTRY)


def run_ended(backend: str, state: str, seconds: float) -> None:
    """Counts a run that ended, `seconds` after it was accepted. One that never got as far has no service."""
    RUNS.labels(backend or "none", state).inc()
    RUN_SECONDS.labels(backend or "none").observe(max(0.0, seconds))


@contextmanager
def redis_call(script: str) -> Iterator[None]:
    """Measures a script, or a pipeline of one script."""
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        REDIS_FAILURES.labels(script, type(error).__name__).inc()
        raise
    REDIS_SECONDS.labels(script).observe(time.perf_counter() - began)


async def watch_loop(
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Measure the event loop's lag until cancelled."""
    while True:
        due = clock() + _LAG_SECONDS
        await sleep(_LAG_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, clock() - due))
