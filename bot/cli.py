"""The command line: run · demo · ask · replay."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live

from bot import __version__, log, terminal
from bot.model.answer import Answer
from bot.model.ending import Ending
from bot.model.question import Language, language_of
from bot.model.run import State
from bot.redact import also_hide, redact
from bot.settings import Settings, SettingsError, load
from bot.slack.reply import layout
from bot.slack.reply.draft import Draft, final_payloads
from bot.slack.words import say
from bot.upstream.backend import Ask, Backend
from bot.upstream.errors import UpstreamError
from bot.upstream.sentences import explain

WRONG_SETTING = 2
"""Exit code for a setting or an argument that is wrong."""
FAILED = 1
"""Exit code for an answer that did not come."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Alibaba Cloud's database agents in Slack threads. Settings come from the environment or ./.env.",
)


def main() -> None:
    """The console script."""
    cli()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"das-bot {__version__}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the command."""


EnvFile = Annotated[
    Path, typer.Option("--env-file", help="File with settings; the environment wins over it.")
]


@cli.command()
def run(env_file: EnvFile = Path(".env")) -> None:
    """Run the bot until SIGTERM. With SLACK_APP_TOKEN over Socket Mode, else over HTTP on PORT."""
    from bot import app

    settings = _settings(env_file)
    log.configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(app.run(settings))
    except SettingsError as error:
        _exit(error)
    except KeyboardInterrupt:
        pass  # Interrupted before the handlers stood.


@cli.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8700,
    pace: Annotated[
        float, typer.Option(min=0, help="Factor on the agents' times; 0.2 is five times faster.")
    ] = 1.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Runs each simulated agent allows at once.")] = 2,
    browser: Annotated[bool, typer.Option(help="Open a browser where there is one.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON with the addresses.")
    ] = False,
) -> None:
    """The real bot in a Slack-like workspace in your browser. DAS Agent and RDS Copilot are simulated."""
    from bot import scratch
    from bot.demo import stage
    from bot.slack.intake.commands import COMMANDS

    try:
        with scratch.folder(Path("~/.local/share/das-bot/demo").expanduser()) as folder:
            scene = stage.Stage(folder, COMMANDS, pace=pace, concurrency=concurrency)
            code = asyncio.run(stage.play(scene, port=port, browser=browser, as_json=as_json))
    except SettingsError as error:
        _exit(error)
    except KeyboardInterrupt:
        code = 0  # Interrupted before the handlers stood.
    except OSError as error:
        hint = 'give another one (make demo ARGS="--port 0" takes any free one)'
        _exit(SettingsError([f"--port: cannot listen on port {port} ({error.strerror}); {hint}"]))
    raise typer.Exit(code)


@cli.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask the agent.")],
    service: Annotated[
        str, typer.Option(help="Whom to ask: das, das-legacy or rds; DEFAULT_AGENT unless given.")
    ] = "",
    session: Annotated[str, typer.Option(help="Session id of an earlier answer, to ask on.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object when the answer has ended.")
    ] = False,
    env_file: EnvFile = Path(".env"),
) -> None:
    """Ask an agent from the terminal: the same signing, reading and folding, without Slack."""
    from bot.app import services

    settings = _settings(env_file, slack=False)
    log.configure("error")
    named, *agent_id = settings.default_agent.split()
    key = service or named
    backends = services(settings)
    if not question.strip():
        _exit(SettingsError(["QUESTION: is empty; ask something"]))
    if key not in backends:
        hint = "; set RDS_REGION to ask RDS Copilot" if key == "rds" else ""
        _exit(SettingsError([f"--service: {key} is none of {', '.join(backends)}{hint}"]))
    backend = backends[key]
    if len(question) > backend.limit:
        _exit(SettingsError([f"QUESTION: {len(question):,} characters; the agent takes {backend.limit:,}"]))
    if session and not backend.names_sessions and not _is_uuid(session):
        _exit(SettingsError([f"--session: {session} is not a session id (a UUID, printed with each answer)"]))
    own = settings.rds_agent_id if key == "rds" else settings.das_agent_id
    fresh = "" if backend.names_sessions else str(uuid.uuid4())
    asked = Ask(
        question,
        session or fresh,
        agent_id=agent_id[0] if agent_id and key == named else own,
        language=language_of(question),
        timezone=settings.timezone,
    )
    try:
        ok = asyncio.run(_ask(backend, asked, as_json))
    except KeyboardInterrupt:
        print("das-bot: stopped listening; the agent may still finish its run unseen", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(0 if ok else FAILED)


@cli.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recorded stream (.sse).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the messages' blocks as JSON.")] = False,
) -> None:
    """Draw the Slack messages a recorded stream would become; its first frame tells which service it is of."""
    try:
        data = file.read_bytes()
    except OSError as error:
        _exit(SettingsError([f"FILE: {file} cannot be read ({error.strerror})"]))
    answer, ending, service = asyncio.run(_fold(data))
    if not (answer.has_text or answer.calls or answer.steps or answer.error or answer.usage):
        _exit(SettingsError([f"FILE: {file} holds no stream of DAS Agent or RDS Copilot"]))
    draft = Draft("replay00", language_of(answer.text), service)
    draft.answer, draft.ending = answer, ending
    payloads = final_payloads(draft)
    if as_json:
        print(json.dumps(payloads, ensure_ascii=False, indent=1))
        return
    console = Console()
    for number, payload in enumerate(payloads, start=1):
        if len(payloads) > 1:
            console.rule(f"message {number} of {len(payloads)}")
        console.print(terminal.blocks(payload))


@cli.command()
def gallery(
    file: Annotated[Path, typer.Argument(help="Where the page is written.")] = Path("das-bot-gallery.html"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what Slack is given as JSON instead.")
    ] = False,
) -> None:
    """Draw every state of a reply on one page, as the demo's page would."""
    from bot.gallery.page import page
    from bot.gallery.scenes import pictures

    if as_json:
        print(json.dumps([asdict(picture) for picture in pictures()], ensure_ascii=False, indent=1))
        return
    try:
        file.write_text(page(pictures()), "utf-8")
    except OSError as error:
        _exit(SettingsError([f"FILE: {file} cannot be written ({error.strerror})"]))
    print(f"Open {file.absolute().as_uri()} in a browser.")


async def _fold(data: bytes) -> tuple[Answer, Ending, str]:
    """The answer of a stream, how it ended, and the name of the service it is of."""
    from bot.upstream.recorded import AnyFrames, read_events

    async def chunks() -> Any:
        yield data

    answer, frames = Answer(), AnyFrames()
    try:
        async for event in read_events(chunks(), frames):
            answer.apply(event, 0.0)
    except UpstreamError as error:
        answer.close(0.0)
        return answer, Ending(State.FAILED, explain(error, language_of(answer.text))), frames.name
    return answer, _ending(answer, language_of(answer.text)), frames.name


async def _ask(backend: Backend, asked: Ask, as_json: bool) -> bool:
    language = asked.language
    began = time.monotonic()
    answer = Answer()
    console = Console()
    shown = None if as_json else Live(console=console, refresh_per_second=8, transient=True)
    failure: UpstreamError | None = None
    try:
        with shown or nullcontext():
            async with backend.ask(asked) as events:
                async for event in events:
                    answer.apply(event, time.monotonic())
                    if shown:
                        shown.update(terminal.live(answer, time.monotonic() - began, language))
    except UpstreamError as error:
        failure = error
        answer.close(time.monotonic())
    finally:
        await backend.aclose()
    ending = Ending(State.FAILED, explain(failure, language)) if failure else _ending(answer, language)
    elapsed = time.monotonic() - began
    session = (answer.usage.session_id if answer.usage else "") or answer.session_id or asked.session_id
    if as_json:
        print(json.dumps(_as_dict(answer, ending, failure, session, elapsed), ensure_ascii=False))
    else:
        footer = layout.footer(answer, backend.name, elapsed, layout.Frame(session, language, 0))
        if session and (answer.has_text or answer.calls):
            service = "" if backend.key == "das" else f"--service {backend.key} "
            footer += f"\nask on: das-bot ask {service}--session {session} …"
        console.print(terminal.final(answer, ending, footer))
        if failure:
            Console(stderr=True).print(f"cause: {redact(str(failure))}", style="dim", highlight=False)
    return ending.state is State.ANSWERED


def _ending(answer: Answer, language: Language) -> Ending:
    if answer.error:
        error = UpstreamError(answer.error.code, answer.error.message, begun=True)
        return Ending(State.FAILED, explain(error, language))
    if answer.is_paused:
        return Ending(State.PAUSED)
    return Ending(State.ANSWERED, "" if answer.has_text else say("nothing", language))


def _as_dict(
    answer: Answer, ending: Ending, failure: UpstreamError | None, session: str, elapsed: float
) -> dict[str, Any]:
    code = failure.code if failure else answer.error.code if answer.error else ""
    request_id = (failure.request_id if failure else "") or (answer.usage.request_id if answer.usage else "")
    return {
        "state": ending.state.value,
        "text": redact(answer.text),
        "session_id": session,
        "seconds": round(elapsed, 1),
        "characters": answer.usage.characters if answer.usage else None,
        "request_id": request_id,
        "error": {"code": code, "reason": ending.reason} if code else None,
        "tool_calls": [
            {
                "id": call.id,
                "name": call.name,
                "state": call.state.name.lower(),
                "arguments": redact(call.arguments),
                "result": redact(call.result),
                "error": redact(call.error),
            }
            for call in answer.calls.values()
        ],
    }


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _settings(env_file: Path, *, slack: bool = True) -> Settings:
    if str(env_file) != ".env" and not env_file.exists():
        _exit(SettingsError([f"--env-file: {env_file} is not there"]))
    try:
        settings = load(env_file, slack=slack)
    except SettingsError as error:
        _exit(error)
    also_hide(settings.redact_patterns)
    return settings


def _exit(error: SettingsError) -> NoReturn:
    many = len(error.problems) > 1
    print(f"das-bot: {len(error.problems)} problems" if many else "das-bot:", file=sys.stderr)
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr)
    sys.exit(WRONG_SETTING)
