"""`rlx compare RUN_A RUN_B`: which of two runs has more gold on the same held-out prompts, from the samples that they kept."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from rlx.comparison.pair import Samples, incomparable, matched, same_proxy, samples_of, versus
from rlx.core.error import UserError
from rlx.process import atomic
from rlx.process.logs import speak
from rlx.reporting.pair import pair_verdict, render_pair, sentences
from rlx.run.record import RunRecord, load_record

log = logging.getLogger(__name__)


def run(first_dir: Path, second_dir: Path) -> int:
    """Write `versus-RUN_B.html` and `.json` into RUN_A and print a summary. Draws nothing.

    Returns the exit code 0. Raises UserError, with nothing written, where the runs have no gold or no prompts in common.
    """
    speak()
    if first_dir.resolve() == second_dir.resolve():
        raise UserError(f"{first_dir} against itself: name two runs")
    first, second = load_record(first_dir), load_record(second_dir)
    if (line := incomparable(first, second)) is not None:
        raise UserError(f"these runs cannot be compared by gold: {line}")
    samples = samples_of(first), samples_of(second)
    pairs = matched(samples[0].rows, samples[1].rows)
    found = versus(pairs, same_proxy(first, second))
    notes = notes_of((first, second), samples, len(pairs))
    page = render_pair(first, second, found, pairs, notes)
    path = first_dir / f"versus-{second_dir.resolve().name}.html"
    atomic.write(path, page)
    numbers = {"first": str(first_dir), "second": str(second_dir), **asdict(found), "notes": notes}
    atomic.write(path.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    headline, _ = pair_verdict(found)
    numbers_in_words = sentences(found, rewarded=not (first.external or second.external))
    print("\n".join([f"A: {first.path.name}", f"B: {second.path.name}", f"{headline}.", *numbers_in_words]))
    print(f"Length, A and B: {found.lengths[0]:.1f} and {found.lengths[1]:.1f} {found.length_unit} per completion.")
    for note in notes:
        log.warning("%s", note)
    print(f"Side by side: {path}")
    return 0


def notes_of(runs: tuple[RunRecord, RunRecord], samples: tuple[Samples, Samples], num: int) -> list[str]:
    """What is weaker than two full final measurements with the same sampling."""
    notes = []
    for letter, of_run in zip("AB", samples, strict=True):
        if of_run.step is not None:
            notes.append(f"{letter} kept no samples of a final measurement: these are those of its step {of_run.step}.")
    sizes = [len(of_run.rows) for of_run in samples]
    if set(sizes) != {num}:
        notes.append(f"Only {num} prompts are common: A has {sizes[0]}, B has {sizes[1]}.")
    for key in ("temperature", "max_new_tokens"):
        values = [(record.config.get("sampler") or {}).get(key) for record in runs]
        if values[0] != values[1]:
            notes.append(f"sampler.{key} differs: {values[0]} in A, {values[1]} in B.")
    starts = [[row.get("start_completion") for row in of_run.rows.values()][:num] for of_run in samples]
    if sizes[0] == sizes[1] == num and starts[0] != starts[1]:
        notes.append("A and B did not train from the same start policy; SD is that of B's start.")
    return notes
