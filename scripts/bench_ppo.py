"""rlx's PPO beside TRL's on two works: samples per second of CPU time and of wall time, in turn, as ratios to TRL 1.12's PPO.

    python scripts/bench_ppo.py --trl DIR [--rounds 3] [--rollouts 4] [--works lab equal] [--json FILE] [--compare FILE]

DIR holds `pip install --no-deps --target DIR trl==1.12.0` (TRL has had no PPO since). What is timed: bench_sides.py; on what:
bench_work.py. Each side of each turn runs in a process of its own. --json keeps what was measured, --compare sets it beside
what such a file holds: ratios to the same anchor, since seconds of two machines, or two days, cannot be compared.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench_sides import SIDES, time_side
from bench_work import PROMPTS, WORKS, prepare, work_of

ANCHOR, CLOCKS = SIDES[0], ("cpu", "wall")


def rates(times: list[list[float]]) -> dict[str, float]:
    """Samples a second by each clock, from the median rollout."""
    return {clock: PROMPTS / statistics.median(x[i] for x in times) for i, clock in enumerate(CLOCKS)}


def ratios(turns: dict[str, list[dict[str, float]]], side: str, clock: str) -> list[float]:
    """Of a side's samples a second to the anchor's, turn by turn."""
    return [mine[clock] / theirs[clock] for mine, theirs in zip(turns[side], turns[ANCHOR], strict=True)]


def spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"


def summary(work: str, turns: dict[str, list[dict[str, float]]], before: dict[str, Any] | None) -> list[str]:
    """A line for each side: its rate, its ratio to the anchor, and that ratio in `before`."""
    lines = [f"{work}: samples/s of CPU time, of wall time; ratio to {ANCHOR} by each"]
    for side in turns:
        own = [spread([turn[clock] for turn in turns[side]]) for clock in CLOCKS]
        ratio = [spread(ratios(turns, side, clock)) for clock in CLOCKS] if side != ANCHOR else ["1", "1"]
        line = f"  {side:14s} {own[0]:22s} {own[1]:22s} {ratio[0]:20s} {ratio[1]}"
        known = (before or {}).get(work, {})
        if side != ANCHOR and side in known and ANCHOR in known:
            was = statistics.median(ratios(known, side, "cpu"))
            line += f"   was {was:.2f}, now {statistics.median(ratios(turns, side, 'cpu')) / was:.2f} of it"
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trl", required=True, metavar="DIR", help="where trl==1.12.0 is installed")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--rollouts", type=int, default=4, help="timed rollouts a turn, after one that is not")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--cache", default="build/bench-cache", help="where the lab's SFT policy is kept")
    parser.add_argument("--json", metavar="FILE", default="build/bench.json", help="where the numbers go")
    parser.add_argument("--compare", metavar="FILE", help="what an earlier run wrote")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        work = work_of(args.works[0], Path(args.cache).absolute())
        print(json.dumps(time_side(args.side, work, args.trl, args.rollouts)))
        return
    before = json.loads(Path(args.compare).read_text(encoding="utf-8")) if args.compare else None
    if "lab" in args.works:
        prepare(Path(args.cache).absolute())
    found: dict[str, dict[str, list[dict[str, float]]]] = {work: {side: [] for side in SIDES} for work in args.works}
    for turn in range(args.rounds):
        for work, sides in found.items():
            for side in SIDES:
                words = ["--trl", args.trl, "--rollouts", str(args.rollouts), "--cache", args.cache]
                command = [sys.executable, __file__, "--side", side, "--works", work, *words]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
                sides[side].append(rates(json.loads(done.stdout.splitlines()[-1])))
                now = sides[side][-1]
                print(f"{turn + 1} {work} {side:14s} {now['cpu']:6.1f} cpu {now['wall']:6.1f} wall", flush=True)
    for work, turns in found.items():
        print("\n".join(["", *summary(work, turns, before)]))
    Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\nkept in {args.json}")


if __name__ == "__main__":
    main()
