"""Kills runs and damages their files at random, gives the same command again, and compares with what nothing disturbed.

`make chaos N=50`: signals (KILL, TERM, INT, USR1) at random times to a run, to a sweep or one of its cells, to one of two
processes under ddp; or a file of store, checkpoint or run directory is flipped, cut or deleted. Afterwards a run must have the same
numbers, samples and weights, or one line must say what is lost: never other numbers, never a traceback. A case is repeated
by its seed.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
from chaos_judge import Outcome, damage, differences, table
from chaos_rlx import Rlx

MINIATURE = shlex.split(
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 num_steps=4 "
    "evaluation.interval=2 evaluation.num_prompts=8 evaluation.final_num_prompts=16 checkpoint.interval=1 tracker=jsonl"
)
COMMANDS = {
    "run": ["train", *MINIATURE],
    "sweep": ["train", "-m", "seed=0,1", "sweep.num_parallel=2", *MINIATURE],
    "ddp": ["train", "compute=ddp", "compute.num_processes=2", *MINIATURE],
}
# How often each is drawn.
KINDS = {
    "kill run": 7,
    "kill run, new store": 3,
    "kill sweep": 2,
    "kill ddp": 2,
    "damage cut run": 9,
    "damage done run": 3,
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
ENDS = ("summary.json", "report.html", "final_samples.jsonl", "model")  # what a run writes once it has learnt
PATIENCE = 1800  # s for one command
LANDED = "to"  # between a signal and what it was sent to
TRIES = 4  # of the same command, until it ends


class Chaos:
    """The cases, in `root`, beside the undisturbed runs that they are compared with."""

    def __init__(self, root: Path, seed: int, only: str | None) -> None:
        self.root, self.seed, self.rlx = root, seed, Rlx()
        self.kinds = {kind: share for kind, share in KINDS.items() if only in (None, command_of(kind))}
        self.seconds: dict[tuple[str, bool], float] = {}  # (command, whether with a new store) -> an undisturbed one's

    def undisturbed(self, command: str) -> Path:
        """Return the folder of a whole run, sweep or pair of processes; made at the first call."""
        folder = self.root / command
        for again in (False, True) if not folder.is_dir() else ():  # timed with all artefacts, too
            shutil.rmtree(folder / "runs", ignore_errors=True)
            folder.mkdir(exist_ok=True)
            start = time.monotonic()
            self.rlx.start(COMMANDS[command], folder)
            if (code := self.rlx.wait(PATIENCE)) != 0:
                raise SystemExit(f"the undisturbed {command} ended with {code}: see {folder / 'output.txt'}")
            self.seconds[command, not again] = time.monotonic() - start
        return folder

    def case(self, number: int) -> Outcome:
        """Draw a case by seed and number, do it, and judge it. What is no violation leaves nothing."""
        rng = random.Random(f"{self.seed} {number}")
        (kind,) = rng.choices(list(self.kinds), list(self.kinds.values()))
        command = command_of(kind)
        whole, folder = self.undisturbed(command), self.root / f"case-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if "new store" not in kind:
            shutil.copytree(whole / "cache", folder / "cache")
        disturb = self._kill if kind.startswith("kill") else self._damage
        told = disturb(rng, kind, command, whole, folder)
        verdict, came = self._again(command, whole, folder)
        outcome = Outcome(verdict, f"{kind}: {told}; {came}")
        if verdict != "violation":
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    def _kill(self, rng: random.Random, kind: str, command: str, whole: Path, folder: Path) -> str:
        told, usual = [], (command, "new store" in kind)
        for again in range(rng.choice((1, 1, 2, 3))):
            after = rng.uniform(0, 1.05) * self.seconds[usual]
            number, whose = rng.choice(SIGNALS), rng.random()
            start = time.monotonic()
            pid = self.rlx.start(COMMANDS[command], folder)
            if self.rlx.wait(after) is not None:
                took = time.monotonic() - start
                self.seconds[usual] = took if not again else self.seconds[usual]  # machines are not always as busy
                told.append(f"ended in {took:.1f} s")
                break
            victims = [process for process in _family(pid) if process.is_running()]
            victim = victims[min(int(2 * whose * len(victims)) - len(victims), len(victims) - 1) if whose > 0.5 else 0]
            what = "it" if victim.pid == pid else f"a child of {len(victims) - 1}"
            os.kill(victim.pid, number)
            code = self.rlx.wait(PATIENCE)
            told.append(f"{number.name} {LANDED} {what} after {after:.1f} s: exit code {code}")
            if code is None:
                os.kill(pid, signal.SIGKILL)
                self.rlx.wait(PATIENCE)
                told.append("which hung")
        return ", ".join(told)

    def _damage(self, rng: random.Random, kind: str, command: str, whole: Path, folder: Path) -> str:
        shutil.copytree(whole / "runs", folder / "runs")
        (run,) = (path.parent for path in (folder / "runs").glob("*/status.json"))
        if kind == "damage cut run":
            for name in ENDS:
                shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink(missing_ok=True)
            status = json.loads((run / "status.json").read_text(encoding="utf-8"))
            status |= {"state": "running", "pid": 2**22 + 1}
            (run / "status.json").write_text(json.dumps(status), encoding="utf-8")
        # Of kinds of files alike, so that the store's many do not hide the run's few.
        place = rng.choice(
            [run, run, run / "checkpoints", run / "checkpoints", *sorted((folder / "cache").glob("*-*/"))]
        )
        files = sorted(path for path in place.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
        path = rng.choice([file for file in files if place != run or "checkpoints" not in file.parts] or files)
        return f"{damage(path, rng)} {path.relative_to(folder)}"

    def _again(self, command: str, whole: Path, folder: Path) -> tuple[str, str]:
        """Give the same command until it ends; return the verdict and why."""
        for attempt in range(1, TRIES + 1):
            output = folder / "output.txt"
            before = output.stat().st_size if output.exists() else 0
            self.rlx.start(COMMANDS[command], folder)
            code = self.rlx.wait(PATIENCE)
            said = output.read_bytes()[before:].decode("utf-8", "replace")
            if code is None:
                return "violation", f"the same command hung; see {output}"
            if "Traceback" in said:
                return "violation", f"the same command ended in a traceback; see {output}"
            if code == 0 and "is not what it wrote" in said:
                return "said", _first_line(said)
            if code == 0 and (differs := list(differences(whole, folder))) == []:
                return "same", f"the same numbers at attempt {attempt}"
            elif (
                "is gone, and only training" in said
                or "is not what it wrote" in said
                or (code == 2 and _lines(said) == 1)
            ):
                return "said", _first_line(said)
            elif code == 0:
                return "violation", f"other content: {', '.join(differs)}; see {folder}"
        return "violation", f"exit code {code} at {TRIES} attempts; see {output}"


def command_of(kind: str) -> str:
    return next(word for word in kind.replace(",", "").split() if word in COMMANDS)


def _family(pid: int) -> list[psutil.Process]:
    """The process and, at random times of its life, those below it that are rlx's."""
    try:
        own = psutil.Process(pid)
        below = [child for child in own.children(recursive=True) if "rlx." in " ".join(child.cmdline())]
        return [own, *below]
    except psutil.Error:
        return [psutil.Process(pid)]


def _first_line(text: str) -> str:
    return next(line for line in text.split("\n") if "is not" in line or "is gone" in line or line.startswith("rlx: "))[
        :200
    ]


def _lines(text: str) -> int:
    return len([line for line in text.split("\n") if line.startswith("rlx: ")])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case; with --cases 1, repeat one")
    parser.add_argument("--only", choices=COMMANDS, help="cases of this command alone")
    parser.add_argument("--folder", type=Path, help="default: a temporary one, kept where there is a violation")
    asked = parser.parse_args()
    root = (asked.folder or Path(tempfile.mkdtemp(prefix="chaos-"))).absolute()
    root.mkdir(parents=True, exist_ok=True)
    only = f" --only {asked.only}" if asked.only else ""
    chaos, outcomes = Chaos(root, asked.seed, asked.only), []
    for number in range(asked.first, asked.first + asked.cases):
        outcomes.append(outcome := chaos.case(number))
        print(f"{number:4} {outcome.verdict:9} {outcome.story}", flush=True)
        if outcome.verdict == "violation":
            print(
                f"     again: python scripts/chaos.py --seed {asked.seed} --first {number} --cases 1{only}", flush=True
            )
    chaos.rlx.close()
    print(table(outcomes, list(KINDS)))
    landed = sum(
        outcome.story.count(f" {LANDED} it ") + outcome.story.count(f" {LANDED} a child ") for outcome in outcomes
    )
    print(f"{landed} signals came before the end of what they were sent to.")
    violations = any(outcome.verdict == "violation" for outcome in outcomes)
    if not violations and asked.folder is None:
        shutil.rmtree(root, ignore_errors=True)
    return int(violations)


if __name__ == "__main__":
    sys.exit(main())
