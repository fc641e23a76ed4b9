"""The benchmarks: `python tests/bench/run.py [--json] [--seconds N]`. Nothing here decides whether a build passes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot import log
from tests.bench import accepting, pacing, scale, showing

SIZES = (1_000, 100_000, 1_000_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Cost and pace of showing answers, and of accepting questions."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long events are sent (default: 10)")
    parser.add_argument("--no-scale", action="store_true", help="leave out what takes five minutes")
    options = parser.parse_args()
    log.configure("critical")
    results = {
        "showing": [showing.measure(size) for size in SIZES],
        "pacing": pacing.measure(),
        "accepting": asyncio.run(accepting.measure(options.seconds)),
        "scale": {} if options.no_scale else asyncio.run(scale.measure()),
    }
    if options.json:
        print(json.dumps(results))
    else:
        _print(results)


def _print(results: dict[str, Any]) -> None:
    print("Showing: bytes -> events -> fold -> layout, 100 updates while the answer grows")
    print(
        "(cost of the last tenth of the updates by that of the first; naive: everything anew at each update)\n"
    )
    print(f"{'answer':>12} {'events':>8} {'events/s':>10} {'ms/update':>10} {'last/first':>11}", end="")
    print(f" {'naive last/first':>17} {'naive/ours':>11}")
    for row in results["showing"]:
        print(f"{row['characters']:>12,} {row['events']:>8,} {row['events_per_second']:>10,.0f}", end="")
        print(f" {row['ms_per_update']:>10.2f} {row['last_by_first_tenth']:>11.2f}", end="")
        print(f" {row['naive_last_by_first_tenth']:>17.2f} {row['naive_by_ours']:>11.1f}")
    print()
    pacing.show(results["pacing"])
    row = results["accepting"]
    print(f"\nAccepting: {row['sent']:,} signed events at {row['rate']}/s over HTTP, queue on Valkey\n")
    print(f"acked {row['acked']:.2%} · in the store {row['accepted']:.2%}", end="")
    print(f" · p50 {row['p50_ms']:.1f} ms · p99 {row['p99_ms']:.1f} ms", end="")
    print(f" · Slack's 3 s are {row['ack_deadline_by_p99']:.0f} times that")
    if results["scale"]:
        scale.show(results["scale"])


if __name__ == "__main__":
    main()
