"""The command line as a person or a script uses it: every command, its errors and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot import terminal
from bot.demo.das import DEMO_CREDENTIAL, Faults, Refusal, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.upstream.service import Service
from bot.model.answer import Answer
from bot.model.event import TextMessageContent, TextMessageStart

DATA = Path(__file__).parent / "data"
BOT = [sys.executable, "-m", "bot"]
QUESTION = "why is rm-bp1demo0001 slow?"
WAIT_S = 40
"""Longest a command may take. Far more than it takes: a busy machine is slow, not wrong."""


class OnThread:
    """A simulated service on a thread of its own, so that commands can be waited for."""

    def __init__(self, simulated: Service) -> None:
        self.simulated = simulated
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.simulated.start(), self._loop).result(WAIT_S)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.simulated.stop(), self._loop).result(WAIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[SimulatedDas, SimulatedRds]]:
    das, rds = SimulatedDas(pace=0.02), SimulatedRds(pace=0.02)
    threads = [OnThread(das), OnThread(rds)]
    for thread in threads:
        thread.start()
    yield das, rds
    for thread in threads:
        thread.stop()


@pytest.fixture
def das(services: tuple[SimulatedDas, SimulatedRds]) -> SimulatedDas:
    services[0].requests.clear()
    return services[0]


@pytest.fixture
def rds(services: tuple[SimulatedDas, SimulatedRds]) -> SimulatedRds:
    services[1].requests.clear()
    return services[1]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A bare environment: nothing set on this machine reaches the command."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "COLUMNS": "100"}


@pytest.fixture
def with_das(env: dict[str, str], das: SimulatedDas) -> dict[str, str]:
    own = {
        "DAS_ENDPOINT": das.url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": DEMO_CREDENTIAL.key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": DEMO_CREDENTIAL.secret,
    }
    return env | own


@pytest.fixture
def with_rds(with_das: dict[str, str], rds: SimulatedRds) -> dict[str, str]:
    return with_das | {"RDS_ENDPOINT": rds.url, "RDS_REGION": "cn-hangzhou"}


def das_bot(env: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in an empty folder."""
    command = [*BOT, *(str(argument) for argument in arguments)]
    return subprocess.run(
        command, env=env, cwd=env["HOME"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def flat(text: str) -> str:
    """Words of a drawn panel without its frame and line breaks."""
    return " ".join(text.replace("│", " ").split())


# -- help and version --------------------------------------------------------------------------------


def test_help_names_every_command(env: dict[str, str]) -> None:
    done = das_bot(env, "--help")
    assert done.returncode == 0
    for command in ("run", "demo", "ask", "replay"):
        assert f"│ {command} " in done.stdout


@pytest.mark.parametrize(
    ("command", "option"),
    [("run", "--env-file"), ("demo", "--port"), ("ask", "--session"), ("replay", "--json")],
)
def test_each_command_has_help(env: dict[str, str], command: str, option: str) -> None:
    done = das_bot(env, command, "-h")
    assert done.returncode == 0
    assert option in done.stdout


def test_the_demo_s_help_says_what_is_simulated(env: dict[str, str]) -> None:
    assert "DAS Agent and RDS Copilot are simulated" in flat(das_bot(env, "demo", "--help").stdout)


def test_version(env: dict[str, str]) -> None:
    assert das_bot(env, "--version").stdout.startswith("das-bot 0.")


# -- ask ---------------------------------------------------------------------------------------------


def test_ask_prints_the_answer(with_das: dict[str, str]) -> None:
    done = das_bot(with_das, "ask", QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ das_api · GetSlowLogStatistic" in done.stdout
    assert "no index on orders.user_id" in flat(done.stdout)
    assert "DAS Agent · " in done.stdout and "ask on: das-bot ask --session" in done.stdout
    assert "\x1b" not in done.stdout


def test_ask_json_is_one_object_and_a_session_goes_on(with_das: dict[str, str], das: SimulatedDas) -> None:
    first = json.loads(das_bot(with_das, "ask", "--json", QUESTION).stdout)
    assert first["state"] == "answered" and first["error"] is None
    assert [call["state"] for call in first["tool_calls"]] == ["done"] * 3
    assert json.loads(first["tool_calls"][0]["arguments"])["api"] == "GetPerformanceMetrics"
    assert first["characters"] > 1_000 and first["seconds"] > 0 and first["request_id"]
    done = das_bot(with_das, "ask", "--json", "--session", first["session_id"], "is it safe to add?")
    second = json.loads(done.stdout)
    assert "described above" in second["text"]
    assert second["session_id"] == first["session_id"]
    assert [request.session_id for request in das.requests] == [first["session_id"]] * 2


def test_ask_reaches_the_older_interface(with_das: dict[str, str], das: SimulatedDas) -> None:
    done = das_bot(with_das, "ask", "--service", "das-legacy", QUESTION)
    assert done.returncode == 0 and "no index on orders.user_id" in flat(done.stdout)
    assert [request.action for request in das.requests] == ["GetDasAgentSSE"]


def test_ask_reaches_rds_copilot_and_a_conversation_goes_on(
    with_rds: dict[str, str], rds: SimulatedRds
) -> None:
    first = json.loads(das_bot(with_rds, "ask", "--json", "--service", "rds", QUESTION).stdout)
    assert first["state"] == "answered" and first["session_id"] and first["tool_calls"]
    done = das_bot(with_rds, "ask", "--service", "rds", "--session", first["session_id"], "and yesterday?")
    assert done.returncode == 0
    assert f"das-bot ask --service rds --session {first['session_id']}" in flat(done.stdout)
    asked_in = [request.params.get("ConversationId") for request in rds.requests]
    assert asked_in == [None, first["session_id"]]


def test_ask_for_a_service_that_is_not_set_up_says_how(with_das: dict[str, str]) -> None:
    done = das_bot(with_das, "ask", "--service", "rds", QUESTION)
    assert done.returncode == 2
    assert "--service: rds is none of das, das-legacy; set RDS_REGION" in flat(done.stderr)


def test_ask_with_a_wrong_key_says_who_can_help(with_das: dict[str, str]) -> None:
    done = das_bot(with_das | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong-secret"}, "ask", QUESTION)
    assert done.returncode == 1
    assert "rejected the bot's signature" in flat(done.stdout)
    assert "cause: SignatureDoesNotMatch" in done.stderr
    assert "wrong-secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_ask_without_any_key_says_so(with_das: dict[str, str]) -> None:
    bare = {name: value for name, value in with_das.items() if not name.startswith("ALIBABA")}
    done = das_bot(bare, "ask", QUESTION)
    assert done.returncode == 1
    assert "no usable access key" in flat(done.stdout)
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in done.stderr


def test_ask_json_tells_a_failure(with_das: dict[str, str], das: SimulatedDas) -> None:
    das.next_faults.append(Faults(refuse=Refusal(403, "NoPermission", "no")))
    done = das_bot(with_das, "ask", "--json", "rm-bp1demo0001 为什么变慢了？")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["state"], told["error"]["code"]) == ("failed", "NoPermission")
    assert "请管理员为其授予" in told["error"]["reason"]


def test_ask_keeps_what_had_come_of_a_cut_answer(with_das: dict[str, str]) -> None:
    done = das_bot(with_das, "ask", f"{QUESTION} demo:cut")
    assert done.returncode == 1
    assert "First the load" in done.stdout
    assert "The connection broke before the answer was complete" in flat(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["  "], "QUESTION: is empty"),
        (["x" * 32_001], "QUESTION: 32,001 characters; the agent takes 32,000"),
        (["--session", "abc", QUESTION], "--session: abc is not a session id"),
        (["--env-file", "nowhere.env", QUESTION], "--env-file: nowhere.env is not there"),
    ],
)
def test_ask_refuses_what_cannot_be_asked(
    with_das: dict[str, str], das: SimulatedDas, arguments: list[str], told: str
) -> None:
    done = das_bot(with_das, "ask", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(das.requests) == 0


def test_ask_interrupted_says_that_the_agent_may_go_on(with_das: dict[str, str], das: SimulatedDas) -> None:
    das.next_faults.append(Faults(silent_after=5))
    process = subprocess.Popen(
        [*BOT, "ask", QUESTION],
        env=with_das,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore Ctrl-C, and the tests may have been started so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    tick = threading.Event()
    while not das.requests or das.requests[0].frames_sent < 5:
        assert process.poll() is None
        tick.wait(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert told == "das-bot: stopped listening; the agent may still finish its run unseen\n"


def test_a_live_answer_shows_its_end_in_a_small_terminal() -> None:
    answer = Answer()
    answer.apply(TextMessageStart("m"), 0)
    answer.apply(TextMessageContent("m", "\n\n".join(f"line {n}" for n in range(50))), 0)
    console = Console(file=StringIO(), width=60, height=10, force_terminal=False)
    console.print(terminal.live(answer, 3.0, "en"))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 10
    assert "line 49" in lines[-3] and lines[-1].startswith("⏳ Writing · 3 s")


# -- replay ------------------------------------------------------------------------------------------


def test_replay_draws_the_messages(env: dict[str, str]) -> None:
    done = das_bot(env, "replay", DATA / "das_subagents.sse")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the disk of pc-demo-7 is 91% full" in done.stdout
    assert "▸ ✓ Disk space" in done.stdout and "Throttling: try later" in done.stdout


@pytest.mark.parametrize("file", sorted(DATA.glob("*.sse")), ids=lambda file: file.stem)
def test_replay_json_is_what_slack_would_get(env: dict[str, str], file: Path) -> None:
    done = das_bot(env, "replay", "--json", file)
    messages: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.returncode == 0 and messages
    assert all(message["text"] and message["blocks"] for message in messages)


def test_replay_shows_links_and_signs_as_people_read_them(env: dict[str, str]) -> None:
    done = das_bot(env, "replay", DATA / "rds_waiting.sse")
    assert "the console of RDS (https://rdsnext.console.aliyun.com)" in flat(done.stdout)
    assert "<http" not in done.stdout and "&lt;" not in done.stdout


def test_replay_tells_a_recorded_failure(env: dict[str, str]) -> None:
    done = das_bot(env, "replay", DATA / "das_unbound.sse")
    assert "bound to no database instance" in flat(done.stdout)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read (No such file"),
        (b"", "holds no stream of DAS Agent"),
        (b"\xff\x00", "holds no stream of"),
    ],
)
def test_replay_refuses_what_is_no_recording(
    env: dict[str, str], tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "odd.sse"
    if content is not None:
        file.write_bytes(content)
    done = das_bot(env, "replay", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"FILE: {file} {told}" in done.stderr


# -- run ---------------------------------------------------------------------------------------------


def test_run_names_every_missing_and_wrong_setting(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKN=xoxb-1\nPORT=99999\nDAS_ENDPOINT=nowhere\n")
    done = das_bot(env, "run")
    assert (done.returncode, done.stdout) == (2, "")
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET", "PORT", "DAS_ENDPOINT"):
        assert f"  {name}: " in done.stderr
    assert "did you mean SLACK_BOT_TOKEN?" in done.stderr
    assert "Traceback" not in done.stderr


# -- demo --------------------------------------------------------------------------------------------


class Demo:
    """`das-bot demo` under way, in a home of its own."""

    def __init__(self, env: dict[str, str]) -> None:
        command = [*BOT, "demo", "--json", "--no-browser", "--pace", "0.02", "--port", "0"]
        self.process = subprocess.Popen(command, env=env, cwd=env["HOME"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.addresses: dict[str, str] = json.loads(self.process.stdout.readline())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


@pytest.fixture
def demo(env: dict[str, str]) -> Iterator[Callable[[], Demo]]:
    """Starts demos; whatever a failed test left of them is killed."""
    yield lambda: Demo(env)
    for pid, _ in running(env["HOME"]):
        os.kill(pid, signal.SIGKILL)


def running(home: str) -> list[tuple[int, str]]:
    """Process ids and commands of whatever works in a home or has its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            place = str((entry / "cwd").readlink()).encode() if command else b""
            if command and home.encode() in place + (entry / "environ").read_bytes():
                found.append((int(entry.name), command.replace(b"\0", b" ").decode()))
        except OSError:
            continue
    return found


def left_behind(home: str) -> list[str]:
    """What still runs or lies there of a demo."""
    demos = Path(home) / ".local/share/das-bot/demo"
    return [command for _, command in running(home)] + [str(path) for path in demos.glob("*")]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_demo_leaves_nothing_behind(
    env: dict[str, str], demo: Callable[[], Demo], how: signal.Signals
) -> None:
    one = demo()
    assert set(one.addresses) == {"page", "das", "rds"}
    assert any("valkey" in command for command in left_behind(env["HOME"]))
    assert one.end(how) == 0
    assert left_behind(env["HOME"]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_demos_do_not_disturb_each_other_and_clear_up_after_a_killed_one(
    env: dict[str, str], demo: Callable[[], Demo], tmp_path: Path
) -> None:
    # A .env for a real workspace that lies here does not reach the demo's bot.
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=wrong\nALLOWED_USERS=nobody\n")
    first = demo()
    port = first.addresses["page"].rpartition(":")[2]
    taken = das_bot(env, "demo", "--port", port, "--no-browser")
    assert (taken.returncode, taken.stdout) == (2, "")
    assert f"--port: cannot listen on port {port}" in taken.stderr
    second = demo()
    assert second.addresses["page"] != first.addresses["page"]
    assert second.end(signal.SIGTERM) == 0
    folders = list((tmp_path / ".local/share/das-bot/demo").glob("*"))
    assert len(folders) == 1  # The first one's, still at work.
    first.process.kill()
    # Its bot ends with it, and closes the output they share: it would join the next demo on that port.
    first.process.communicate(timeout=WAIT_S)
    assert all("valkey" in command for _, command in running(env["HOME"]))
    assert demo().end(signal.SIGTERM) == 0
    assert left_behind(env["HOME"]) == []
