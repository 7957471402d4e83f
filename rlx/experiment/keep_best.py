"""`checkpoint.keep_best=gold`: the step to export is chosen on one half of the held-out prompts and measured on the other.

The highest of several noisy evaluations is partly luck: gold on the prompts that chose a step is optimistic. So the choice
sees one half of the prompts measured along training, and the other half says what the chosen step is worth. The final
measurement leaves out the prompts that chose.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlx.artefact import training_state
from rlx.core.error import UserError
from rlx.core.evaluation import Evaluation
from rlx.core.seed import seed_of
from rlx.core.settings import Settings
from rlx.core.world import Prompt
from rlx.metric.interval import mean_interval
from rlx.metric.score import standardised
from rlx.process import atomic, processes

log = logging.getLogger(__name__)


def half_that_chooses(prompts: Sequence[Prompt]) -> frozenset[str]:
    """Ids of half of `prompts`, rounded down: those that hash lowest. It depends on nothing but the set of ids. Raises
    UserError below 4 prompts: neither half would have an interval."""
    unordered = {prompt.id for prompt in prompts}
    if len(unordered) < 4:
        raise UserError(
            f"checkpoint.keep_best=gold chooses on one half of the held-out prompts and reports on the other, and there are "
            f"{len(unordered)}: give at least 4, or set checkpoint.keep_best=null"
        )
    ids = sorted(unordered, key=lambda pid: (seed_of("keep best", pid), pid))
    return frozenset(ids[: len(ids) // 2])


def left_aside(settings: Settings, prompts: Sequence[Prompt]) -> frozenset[str]:
    """Ids of the held-out `prompts` that chose the step of a finished run, and that its final measurement leaves out."""
    if settings.checkpoint.keep_best is None:
        return frozenset()
    return half_that_chooses(prompts[: settings.evaluation.num_prompts])


def halves(evaluation: Evaluation, chooses: frozenset[str]) -> dict[str, float]:
    """Gold on the prompts in `chooses` ("selection") and on the others ("report"): the mean in the judge's unit, and the
    gain over the start in standard deviations of all the start's completions, where they have a spread."""
    selection_B = np.array([prompt.id in chooses for prompt in evaluation.prompts])
    row: dict[str, float] = {}
    for half, in_half_B in (("selection", selection_B), ("report", ~selection_B)):
        row[f"keep_best/{half}_gold"] = float(evaluation.gold_B[in_half_B].mean())
        if np.ptp(evaluation.start_gold_B) > 0:
            gain_B = standardised(evaluation.gold_B, evaluation.start_gold_B)[in_half_B]
            name = f"keep_best/{half}_sd_units"
            row[name] = float(gain_B.mean())
            row[f"{name}_low"], row[f"{name}_high"] = mean_interval(gain_B)
    return row


class BestPolicy:
    """The weights of the best step so far in `folder`, one file `step-<step>.safetensors` that appears whole or not at all
    and that carries its step's numbers. A resumed run finds the best step up to its checkpoint there."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the run's: the weights lie in its `best`, and its `checkpoints` are what a run resumes from."""
        self.folder, self.checkpoints = folder / "best", folder / "checkpoints"
        self.row: dict[str, float] = {}

    def resume(self, step: int) -> None:
        """Forget the steps after `step`, which the run will do again. -1: all of them. Raises UserError where training goes
        on and the weights are gone."""
        known: dict[str, float] = {}
        if processes.first():
            later = [self._file(number) for number in self._steps() if number > step]
            for path in later:
                path.unlink()
            atomic.clear(self.folder / "*")  # a kill leaves what it was writing
            if steps := self._steps():
                with safe_open(self._file(steps[-1]), "pt") as file:
                    known = json.loads(file.metadata()["row"])
        self.row = processes.agreed(known)
        if step >= 0 and not self.row:
            raise UserError(
                f"{self.folder} has no weights of a step up to {step}, which checkpoint.keep_best=gold needs to go on; "
                f"delete {self.checkpoints} to train the policy from its start again"
            )

    def improves(self, row: dict[str, float]) -> bool:
        """Whether gold on the half that chooses is higher than at every step before; the same in all processes."""
        best = self.row.get("keep_best/selection_gold", float("-inf"))
        return processes.agreed(row["keep_best/selection_gold"] > best)

    def keep(self, step: int, row: dict[str, float], weights: dict[str, Tensor]) -> None:
        """Write the weights of a new best step, then forget those that no resumed run can come back to."""
        self.row = {name: value for name, value in row.items() if name.startswith("keep_best/")} | {
            "keep_best/step": float(step)
        }
        if not processes.first():
            return
        self.folder.mkdir(exist_ok=True)
        with atomic.file(self._file(step)) as part:
            save_file(weights, part, metadata={"row": json.dumps(self.row)})
        saved = training_state.marked_steps(self.checkpoints)
        needed = {
            step,
            *(max((number for number in self._steps() if number <= there), default=step) for there in saved),
        }
        for number in self._steps():
            if number not in needed:
                self._file(number).unlink()

    def weights(self) -> dict[str, Tensor]:
        """Those of the best step, in every process."""
        processes.wait()
        step = int(self.row["keep_best/step"])
        log.info("the policy of step %d is kept: it has the most gold on the half of prompts that chooses", step)
        return load_file(self._file(step))

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step}.safetensors"

    def _steps(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.safetensors"))
