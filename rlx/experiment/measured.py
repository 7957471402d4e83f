"""One measurement as a directory: of a policy from elsewhere, or of a run's policy as a decoder draws from it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlx.core.error import UserError
from rlx.core.evaluation import Evaluation
from rlx.core.settings import settings_of
from rlx.engine.held_out import HeldOut, final_rows
from rlx.experiment.assembly import assemble
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.decoding import Recording, alpha_metrics, alphas_of, decoder_of, fused, gold_of_run
from rlx.experiment.loading import load_policy
from rlx.metric.battery import measure_all
from rlx.model.fused import FusedPolicy
from rlx.run.directory import RunDirectory
from rlx.run.record import FINAL_SAMPLES
from rlx.run.state import has_model, load_config, open_run_dir

log = logging.getLogger(__name__)
Row = dict[str, float]


class Measured(NamedTuple):
    evaluation: Evaluation
    row: Row
    alphas: list[list[list[float]]]  # by completion, expert and token; empty without experts


def evaluated(held_out: HeldOut, policy: Any, num: int, cell: Cell) -> Measured:
    """Measure `policy` on the first `num` held-out prompts."""
    recording = Recording(cell.sampler)
    evaluation = held_out.evaluate(policy, num, recording)
    row = measure_all(evaluation)
    if not isinstance(policy, FusedPolicy):
        return Measured(evaluation, row, [])
    alphas = alphas_of(policy, recording, cell.compute.rows)
    return Measured(evaluation, row | alpha_metrics(alphas), alphas)


class DecodedRun:
    """A run whose policy is measured as one or several decoders draw from it. The start's completions are drawn once."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        self.run_dir, self.config, self.cell = run_dir, config, cell_of(config)
        models, data_seed = self.cell.models(), self.cell.settings.data_seed
        paths = {name: self.cell.store.fetch(recipe, data_seed) for name, recipe in models.items()}
        self.artefacts = {name: path.name for name, path in paths.items()}
        own = settings_of(load_config(run_dir / "config.yaml"))
        self.assembly = assemble(self.cell, paths | self.cell.start_completions_there(own))
        self.num_prompts = self.cell.settings.evaluation.final_num_prompts
        check_num(self.num_prompts, self.assembly.held_out, "final_num_prompts")

    def measured(self, decoder: Mapping[str, Any]) -> Measured:
        """Measure the policy of the run as `decoder` draws from it.

        The metrics are those of every measurement, alpha, and the gold that this run's judge gives to the trained model of
        the run (`decoder/model_gold`) and to each expert (`decoder/expert_gold_<i>`) on the same prompts, from the
        completions that they kept.
        """
        chosen, cell = decoder_of(decoder), self.cell
        directory = self.run_dir / "model" if chosen.policy == "model" else self.assembly.start
        large = load_policy(cell.model, directory, "decoder.policy")
        policy = fused(large, chosen, cell, self.config)
        measured = evaluated(self.assembly.held_out, policy, self.num_prompts, cell)
        row, judge, prompts = dict(measured.row), self.assembly.held_out.judge, measured.evaluation.prompts
        named = {"decoder/model_gold": self.run_dir}
        named |= {f"decoder/expert_gold_{i}": Path(word) for i, word in enumerate(chosen.experts)}
        for name, other in named.items():
            golds, places = gold_of_run(other, prompts, judge)
            if len(places) == len(prompts):
                row[name] = float(np.mean(golds))
            else:
                lacks = f"kept completions of {len(places)} of these {len(prompts)} prompts"
                log.warning("%s %s, so %s is left out", other, lacks, name)
        return measured._replace(row=row)


def write(
    own: Mapping[str, Any],
    path: Path,
    measured: Measured,
    overrides: Sequence[str],
    made: Mapping[str, Any],
    judges: Sequence[Mapping[str, Any]],
    cell: Cell,
) -> tuple[RunDirectory, Row]:
    """Write a directory that `rlx compare` takes as it takes a run's: config.yaml, evaluation.json and the samples. Return
    it with the metrics that it holds: those of a proxy are left out where there is none. `made`: its provenance.json."""
    row, samples = dict(measured.row), final_rows(0, measured.evaluation)
    if measured.alphas:
        samples = [sample | {"alphas": alphas} for sample, alphas in zip(samples, measured.alphas, strict=True)]
    if not cell.members():
        row = {name: value for name, value in row.items() if not name.startswith(("proxy/", "ensemble/"))}
        samples = [{k: v for k, v in sample.items() if k not in ("proxy", "member_scores")} for sample in samples]
    directory = RunDirectory(open_run_dir(own, path).parent)
    directory.write_rows(FINAL_SAMPLES, samples)
    directory.write("provenance.json", dict(made))
    directory.write("members.json", list(judges))
    directory.write("evaluation.json", {"overrides": list(overrides), "metrics": row})
    directory.write("summary.json", row)
    directory.finish()
    return directory, row


def check_num(wanted: int, held_out: HeldOut, key: str) -> None:
    """Raises UserError where the world has fewer held-out prompts than `evaluation.<key>` wants."""
    if wanted > (there := len(held_out.prompts.prompts)):
        raise UserError(f"evaluation.{key}={wanted}: the world has {there} held-out prompts; ask for at most those")


def check_model(run_dir: Path) -> None:
    """Raises UserError where the run has no model yet."""
    if not has_model(run_dir):
        raise UserError(f"{run_dir} has no model yet; finish it first: rlx train {run_dir}")
