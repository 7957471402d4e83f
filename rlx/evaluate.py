"""`rlx evaluate RUN key=value ...`: measure a finished run again, on other prompts, with another sampling or by another gold.

`rlx evaluate --policy P --start S key=value ...`: measure a policy that was trained elsewhere as a run's own is.
`rlx evaluate RUN decoder=fusion decoder.experts=[...]`: measure the policy with what small experts learnt.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from rlx.command.external import kept
from rlx.command.overriding import keys_of
from rlx.comparison.other_gold import measured
from rlx.core.error import UserError
from rlx.core.evaluation import Evaluation
from rlx.core.settings import settings_of
from rlx.engine.held_out import HeldOut, final_rows
from rlx.experiment.assembly import assemble
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.decoding import Recording, alpha_metrics, alphas_of, decoder_of, fused, gold_of_run
from rlx.experiment.external import external
from rlx.experiment.keep_best import left_aside
from rlx.experiment.loading import load_policy
from rlx.experiment.on_pairs import judge_metrics
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_critic
from rlx.model.fused import FusedPolicy
from rlx.process.device import on_device
from rlx.process.logs import speak
from rlx.report import write_external
from rlx.run.directory import RunDirectory
from rlx.run.name import decoded_name, external_name
from rlx.run.record import FINAL_SAMPLES, load_record
from rlx.run.state import has_model, load_config, open_run_dir

log = logging.getLogger(__name__)


def run(run_dir: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> int:
    """Write evaluation.json, with the overrides and the metrics, beside summary.json and show it.

    `config` is the run's with `overrides` in it. Where `world.gold` is all that changes, that judge reads the samples that
    the run has kept and nothing is drawn. Raises UserError, with nothing written, where there is no model yet.
    """
    speak()
    keys = keys_of(overrides)
    row = _by_other_gold(run_dir, cell_of(config)) if set(keys) == {"world.gold"} else _drawn(run_dir, config, keys)
    RunDirectory(run_dir).write("evaluation.json", {"overrides": list(overrides), "metrics": row})
    _show(run_dir.name, row, overrides)
    return 0


def run_decoded(run_dir: Path, config: Mapping[str, Any], overrides: Sequence[str], decoder: Mapping[str, Any]) -> int:
    """Measure RUN's policy as `decoder` draws from it, against the policy that RUN started from.

    Write a directory under runs_dir that `rlx compare` takes. Raises UserError, with nothing written, where RUN or an
    expert has no model, or where they do not share their tokens.
    """
    speak()
    directory, row = measure_decoded(run_dir, config, overrides, decoder)
    page = write_external(load_record(directory.path))
    _show(directory.path.name, row, overrides)
    print(f"Side by side: {page}")
    return 0


def run_external(
    policy: str, start: str, config: Mapping[str, Any], overrides: Sequence[str], decoder: Mapping[str, Any]
) -> int:
    """Measure `policy` against `start`, the policy that it was trained from, on the held-out prompts of the config's world.

    Each is a local directory or a Hub id. Write a directory under runs_dir that `rlx compare` takes as it takes a run:
    config.yaml, evaluation.json, the samples, and versus-start.html. Raises UserError, with nothing written, where one of
    them cannot be measured.
    """
    speak()
    cell, wanted = cell_of(config), config["evaluation"]["final_num_prompts"]
    found = external(cell, policy, start)
    _check_num(wanted, found.held_out, "final_num_prompts")
    own = kept(dict(config), policy, start, decoder)
    large = fused(found.policy, decoder_of(decoder), cell, config)
    measured = _evaluated(found.held_out, large, wanted, cell)
    row = measured.row | judge_metrics(found.judges)
    directory = _write(own, external_name(own), measured, row, overrides, found.artefacts, found.judges, cell)
    page = write_external(load_record(directory.path))
    _show(f"{policy} against {start}", row, overrides)
    print(f"Side by side: {page}")
    return 0


def measure_decoded(
    run_dir: Path, config: Mapping[str, Any], overrides: Sequence[str], decoder: Mapping[str, Any]
) -> tuple[RunDirectory, dict[str, float]]:
    """Return the directory that was written and its metrics: those of every measurement, alpha, and the gold that this
    run's judge gives to the trained model of the run (`decoder/model_gold`) and of each expert (`decoder/expert_gold_<i>`)
    on the same prompts, from the completions that they kept."""
    _check_model(run_dir)
    cell, chosen = cell_of(config), decoder_of(decoder)
    paths = {name: cell.store.fetch(recipe, cell.settings.data_seed) for name, recipe in cell.models().items()}
    assembly = assemble(cell, paths)
    wanted = cell.settings.evaluation.final_num_prompts
    _check_num(wanted, assembly.held_out, "final_num_prompts")
    directory = run_dir / "model" if chosen.policy == "model" else assembly.start
    own = kept(dict(config), str(directory), str(assembly.start), decoder) | {"run": str(run_dir)}
    large = load_policy(cell.model, directory, "decoder.policy")
    measured = _evaluated(assembly.held_out, fused(large, chosen, cell, config), wanted, cell)
    row, judge, prompts = dict(measured.row), cell.judge(), measured.evaluation.prompts
    named = {"decoder/model_gold": run_dir}
    named |= {f"decoder/expert_gold_{i}": Path(word) for i, word in enumerate(chosen.experts)}
    for name, other in named.items():
        golds, places = gold_of_run(other, prompts, judge)
        if len(places) == len(prompts):
            row[name] = float(np.mean(golds))
        else:
            log.warning("%s kept completions of %d of these %d prompts: no %s", other, len(places), len(prompts), name)
    artefacts = {name: path.name for name, path in paths.items()}
    return _write(own, decoded_name(own), measured, row, overrides, artefacts, [], cell), row


class _Measured(NamedTuple):
    evaluation: Evaluation
    row: dict[str, float]
    alphas: list[list[list[float]]]  # by completion, expert and token; empty without experts


def _evaluated(held_out: HeldOut, policy: Any, num: int, cell: Cell) -> _Measured:
    recording = Recording(cell.sampler)
    evaluation = held_out.evaluate(policy, num, recording)
    row = measure_all(evaluation)
    if not isinstance(policy, FusedPolicy):
        return _Measured(evaluation, row, [])
    alphas = alphas_of(policy, recording, cell.compute.rows)
    return _Measured(evaluation, row | alpha_metrics(alphas), alphas)


def _write(
    own: Mapping[str, Any],
    name: str,
    measured: _Measured,
    row: dict[str, float],
    overrides: Sequence[str],
    artefacts: Mapping[str, str],
    judges: Sequence[Mapping[str, Any]],
    cell: Cell,
) -> RunDirectory:
    samples = final_rows(0, measured.evaluation)
    if measured.alphas:
        samples = [sample | {"alphas": alphas} for sample, alphas in zip(samples, measured.alphas, strict=True)]
    if not cell.members():  # there is no proxy
        for metric in [metric for metric in row if metric.startswith(("proxy/", "ensemble/"))]:
            del row[metric]
        samples = [{k: v for k, v in sample.items() if k not in ("proxy", "member_scores")} for sample in samples]
    directory = RunDirectory(open_run_dir(own, Path(cell.settings.runs_dir) / name).parent)
    directory.write_rows(FINAL_SAMPLES, samples)
    directory.write("provenance.json", {"artefacts": dict(artefacts)})
    directory.write("members.json", list(judges))
    directory.write("evaluation.json", {"overrides": list(overrides), "metrics": row})
    directory.write("summary.json", row)
    directory.finish()
    return directory


def _check_num(wanted: int, held_out: HeldOut, key: str) -> None:
    if wanted > (there := len(held_out.prompts.prompts)):
        raise UserError(f"evaluation.{key}={wanted}: the world has {there} held-out prompts; ask for at most those")


def _check_model(run_dir: Path) -> None:
    if not has_model(run_dir):
        raise UserError(f"{run_dir} has no model yet; finish it first: rlx train {run_dir}")


def _show(what: str, row: Mapping[str, float], overrides: Sequence[str]) -> None:
    prompts = f"{int(row['evaluation/num_prompts'])} held-out prompts"
    title = " ".join([what, f"on {prompts}", *(["with", *overrides] if overrides else [])])
    table = Table("measurement", "value", title=title, title_justify="left")
    for name, value in row.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)


def _by_other_gold(run_dir: Path, cell: Cell) -> dict[str, float]:
    rows = list(load_record(run_dir).final_samples().values())
    if not rows:
        raise UserError(
            f"{run_dir} has kept no samples of a final measurement; set evaluation.final_num_prompts too, and they are drawn"
        )
    log.info("world.gold judges the %d samples that the run has kept; nothing is drawn", len(rows))
    return measured(rows, cell.judge())


def _drawn(run_dir: Path, config: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, float]:
    _check_model(run_dir)
    cell, own = cell_of(config), settings_of(load_config(run_dir / "config.yaml"))
    numbers = cell.settings.evaluation
    once = "evaluation.num_prompts" in keys and "evaluation.final_num_prompts" not in keys
    wanted = numbers.num_prompts if once else numbers.final_num_prompts
    paths = {name: cell.store.fetch(recipe, cell.settings.data_seed) for name, recipe in cell.models().items()}
    held_out = assemble(cell, paths).held_out
    _check_num(wanted, held_out, "num_prompts" if once else "final_num_prompts")
    if cell.best_of_n and not cell.best_of_n.distill:
        log.warning(
            "best-of-n leaves the start policy as it was: this measures one completion of it, not the best of n"
        )
    policy = on_device(with_critic(cell.model.policy(run_dir / "model"), "none"))
    aside = left_aside(own, held_out.prompts.prompts)
    row = measure_all(held_out.evaluate(policy, wanted, without=aside))
    if aside:
        num = int(row["evaluation/num_prompts"])
        log.warning("the prompts that chose the step of checkpoint.keep_best are left out; %d remain", num)
    return row
