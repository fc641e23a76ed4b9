"""Traces by OpenTelemetry: one per run, with its waits, the asking, the first words, and the calls of Slack summed up.

Only when the extra `das-bot[otel]` is installed and the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and the like)
say where to; else nothing is imported and every function here does nothing. Spans carry the run's reference, as the
reply's footer and the log do, and no ids of people or texts.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from bot import log
from bot.model.run import Run

logger = log.get(__name__)

_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NANOSECONDS = 1_000_000_000

_provider: Any = None
_tracer: Any = None


@dataclass(slots=True)
class _SlackCalls:
    """What one run asked of Slack. One span a call would be hundreds."""

    began: float = 0.0
    ended: float = 0.0
    calls: int = 0
    failed: int = 0
    seconds: float = 0.0
    waited: float = 0.0


_slack_calls: ContextVar[_SlackCalls | None] = ContextVar("slack_calls", default=None)


def configure(environ: Mapping[str, str] = os.environ) -> None:
    """Start tracing if the environment asks for it."""
    asked_for = any(environ.get(name) for name in _WHERE) and environ.get("OTEL_TRACES_EXPORTER") != "none"
    if _tracer or not asked_for or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("no traces: OTEL_… is set, but the extra is not installed (das-bot[otel])")
        return
    named = {} if environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "das-bot"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: Any) -> None:
    """Trace with an OpenTelemetry TracerProvider; with None no longer."""
    global _provider, _tracer
    _provider = provider
    _tracer = provider.get_tracer("das-bot") if provider else None


def shut_down() -> None:
    """Send what is left and stop. Blocks for as long as that takes."""
    if _provider:
        _provider.shutdown()
    use(None)


@contextmanager
def of_run(run: Run) -> Iterator[None]:
    """The span of a run as one worker does it, from its acceptance on."""
    if _tracer is None:
        yield
        return
    taken_over = bool(run.asked_at)
    attributes = {"das_bot.run": run.reference, "das_bot.taken_over": taken_over}
    began = time.time() if taken_over else run.accepted_at
    with _tracer.start_as_current_span(
        "run", start_time=_ns(began), attributes=attributes, record_exception=False
    ) as span:
        if not taken_over:
            record("queue wait", since=began)
        calls = _SlackCalls()
        token = _slack_calls.set(calls)
        try:
            yield
        finally:
            _slack_calls.reset(token)
            _record_slack(calls)
            span.set_attributes({"das_bot.state": str(run.state), "das_bot.backend": run.backend})


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span around what is done inside the context."""
    if _tracer is None:
        return nullcontext()
    named = {f"das_bot.{key}": value for key, value in attributes.items()}
    opened: AbstractContextManager[Any] = _tracer.start_as_current_span(
        name, attributes=named, record_exception=False
    )
    return opened


def record(name: str, *, since: float) -> None:
    """A span of what is over: from `since`, in Unix seconds, until now."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=_ns(since)).end()


def slack_call(seconds: float, waited: float, *, ok: bool) -> None:
    """A call of Slack for the run of this context: how long it took, and how long it had waited for the budget."""
    calls = _slack_calls.get()
    if calls is None:
        return
    calls.ended = time.time()
    calls.began = calls.began or calls.ended - seconds
    calls.calls += 1
    calls.failed += not ok
    calls.seconds += seconds
    calls.waited += waited


def _record_slack(calls: _SlackCalls) -> None:
    if not calls.calls:
        return
    attributes = {
        "das_bot.calls": calls.calls,
        "das_bot.failed": calls.failed,
        "das_bot.seconds": round(calls.seconds, 3),
        "das_bot.budget_seconds": round(calls.waited, 3),
    }
    _tracer.start_span("slack", start_time=_ns(calls.began), attributes=attributes).end(_ns(calls.ended))


def _ns(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
