"""Chaos with a seed: questions through several processes of the bot while things are killed, paused, cut and refused.

    python tests/chaos/run.py --seed 7 --questions 200 --processes 3 --seconds 120

Ends with 0 when every invariant holds; with 1 it prints the seed, what was done when, and the offending threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chaos import driver
from tests.chaos.driver import Outcome
from tests.chaos.ground import Options


def main() -> int:
    """The command."""
    arguments = _arguments()
    options = Options(
        processes=arguments.processes,
        hurry=arguments.hurry,
        strict=arguments.strict,
        pace=arguments.pace,
        concurrency=arguments.concurrency,
        seed=arguments.seed,
    )
    # The doubles say at length that a killed process hung up.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    # Short, since the store's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    questions = arguments.questions or (30 if options.strict else 300)
    outcome = asyncio.run(driver.run(folder, options, questions, arguments.seconds))
    if outcome.violations:
        sys.stderr.write(f"The processes' logs are in {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write((as_json(outcome) if arguments.json else as_text(outcome)) + "\n")
    return 1 if outcome.violations else 0


def as_json(outcome: Outcome) -> str:
    """One line for a program."""
    return json.dumps(
        {
            "seed": outcome.seed,
            "questions": outcome.asked,
            "outcomes": outcome.outcomes,
            "done": outcome.done,
            "violations": [str(violation) for violation in outcome.violations],
            "seconds": round(outcome.seconds, 1),
            "quiet_after": round(outcome.quiet_after, 1),
            "peak": outcome.peak,
        },
        ensure_ascii=False,
    )


def as_text(outcome: Outcome) -> str:
    """A summary for a person; when something is wrong, all there is to know."""
    lines = []
    if outcome.violations:
        lines += [f"Seed {outcome.seed}: {len(outcome.violations)} violations", "", "What was done:"]
        lines += [f"  {line}" for line in outcome.timeline]
        for history in outcome.histories.values():
            lines += ["", history]
        lines += ["", "Violations:", *(f"  {violation}" for violation in outcome.violations), ""]
    verdict = f"{len(outcome.violations)} VIOLATIONS" if outcome.violations else "every invariant holds"
    lines.append(
        f"seed {outcome.seed}: {outcome.asked} questions ({_counted(outcome.outcomes)}) · {_counted(outcome.done)} · "
        f"at most {outcome.peak} open upstream · quiet after {outcome.quiet_after:.0f} s · "
        f"{outcome.seconds:.0f} s · {verdict}"
    )
    return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="of the plan; drawn if not given"
    )
    parser.add_argument("--questions", type=int, help="how many are asked (300; with --strict 30)")
    parser.add_argument("--processes", type=int, default=3, help="of the bot (3)")
    parser.add_argument(
        "--seconds", type=float, default=180, help="over which they are asked and things break (180)"
    )
    parser.add_argument("--concurrency", type=int, default=8, help="runs the agent allows at once (8)")
    parser.add_argument("--pace", type=float, default=0.1, help="factor on the agent's human pace (0.1)")
    parser.add_argument("--hurry", action="store_true", help="shorter leases: see hurried.py")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="keep Slack's rates, which carry some 15 questions a minute while nothing breaks",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
