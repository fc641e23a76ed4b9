"""What a run leaves in the metrics and in a trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot import metrics, traces
from bot.model.event import TextMessageContent
from bot.upstream.errors import UpstreamError

if TYPE_CHECKING:
    from tests.relay.conftest import Stage


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.shut_down()


def read(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


class Since:
    """What a counter has gained since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = read(name, **labels)

    @property
    def gained(self) -> float:
        return read(self._name, **self._labels) - self._before


async def test_a_run_is_counted_while_it_waits_runs_and_ends(stage: Stage) -> None:
    answered = Since("das_bot_runs_total", backend="das", state="answered")
    failed = Since("das_bot_runs_total", backend="das", state="failed")
    accepted = Since("das_bot_questions_total", surface="mention", verdict="accepted")
    first_words = Since("das_bot_upstream_first_words_seconds_count", backend="das")
    slots = Since("das_bot_slot_wait_seconds_count")
    stage.worker()
    stage.backend.refuse["b"] = UpstreamError("Refused", "no", status=400)
    first, second = await stage.ask("a"), await stage.ask("b")
    await stage.until(lambda: read("das_bot_runs_running", backend="das") == 1)
    await stage.until(lambda: read("das_bot_runs_waiting", **{"for": "thread"}) == 1)
    assert read("das_bot_threads_working") == 1
    stage.backend.feed("a", TextMessageContent("m", "first "))
    stage.backend.answer("a")
    await stage.until_state(first, "answered")
    await stage.until_state(second, "failed")
    await stage.until(lambda: read("das_bot_threads_working") == 0)
    assert read("das_bot_runs_running", backend="das") == 0
    assert (answered.gained, failed.gained, accepted.gained) == (1, 1, 2)
    assert (first_words.gained, slots.gained) == (1, 2)


async def test_a_run_whose_worker_died_is_counted_as_taken_over_and_recovered(stage: Stage) -> None:
    taken, recovered = Since("das_bot_threads_taken_over_total"), Since("das_bot_runs_recovered_total")
    stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.asked)
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert (taken.gained, recovered.gained) == (1, 1)


def tree(spans: tuple[ReadableSpan, ...]) -> dict[str, str]:
    """Each span's name, and its parent's."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: names[span.parent.span_id] if span.parent else "" for span in spans}


async def test_a_run_is_one_trace(stage: Stage, exported: InMemorySpanExporter) -> None:
    stage.worker()
    run_id = await stage.ask("why is rm-1 slow?")
    stage.backend.answer("why is rm-1 slow?")
    await stage.until_state(run_id, "answered")
    await stage.until(lambda: any(span.name == "run" for span in exported.get_finished_spans()))
    spans = exported.get_finished_spans()
    assert tree(spans) == {
        "run": "", "queue wait": "run", "slot wait": "run", "ask": "run", "first words": "ask"
    }  # fmt: skip
    by_name = {span.name: span for span in spans}
    run = await stage.runs.get(run_id)
    root = by_name["run"]
    assert run and dict(root.attributes or {}) == {
        "das_bot.run": run.reference,
        "das_bot.taken_over": False,
        "das_bot.state": "answered",
        "das_bot.backend": "das",
    }
    assert root.start_time == by_name["queue wait"].start_time
    assert root.start_time and abs(root.start_time / 1e9 - run.accepted_at) < 0.001
    assert "rm-1" not in str([span.to_json() for span in spans])


async def test_slack_calls_are_summed_up(stage: Stage, exported: InMemorySpanExporter) -> None:
    run_id = await stage.ask("a")
    run = await stage.runs.get(run_id)
    assert run
    with traces.of_run(run):
        traces.slack_call(0.25, 1.0, ok=True)
        traces.slack_call(0.5, 0.0, ok=False)
    traces.slack_call(9.0, 9.0, ok=True)  # Of no run: a private line, for example.
    [slack] = [span for span in exported.get_finished_spans() if span.name == "slack"]
    assert dict(slack.attributes or {}) == {
        "das_bot.calls": 2, "das_bot.failed": 1, "das_bot.seconds": 0.75, "das_bot.budget_seconds": 1.0
    }  # fmt: skip


def test_nothing_is_imported_and_nothing_done_without_the_variables() -> None:
    code = (
        "import sys; from bot import traces; traces.configure({});"
        "traces.span('x').__enter__(); traces.record('x', since=0.0);"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "das-bot"}, False),
    ],
)
def test_the_standard_variables_switch_it_on(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], is_on: bool
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    traces.configure()
    try:
        assert (traces._tracer is not None) is is_on
    finally:
        traces.shut_down()


def test_without_the_extra_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    traces.configure({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert traces._tracer is None
    assert "das-bot[otel]" in capsys.readouterr().out
