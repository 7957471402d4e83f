"""`rlx evaluate RUN key=value ...`: measure a finished run again, on other prompts, with another sampling or by another gold.

`rlx evaluate --policy P --start S key=value ...`: measure a policy that was trained elsewhere as a run's own is.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlx.command.external import kept
from rlx.command.overriding import keys_of
from rlx.comparison.other_gold import measured
from rlx.core.error import UserError
from rlx.core.settings import settings_of
from rlx.engine.held_out import final_rows
from rlx.experiment.assembly import assemble
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.external import external
from rlx.experiment.keep_best import left_aside
from rlx.experiment.on_pairs import judge_metrics
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_critic
from rlx.process.device import on_device
from rlx.process.logs import speak
from rlx.report import write_external
from rlx.run.directory import RunDirectory
from rlx.run.name import external_name
from rlx.run.record import FINAL_SAMPLES, load_record
from rlx.run.state import load_config, open_run_dir

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


def run_external(policy: str, start: str, config: Mapping[str, Any], overrides: Sequence[str]) -> int:
    """Measure `policy` against `start`, the policy that it was trained from, on the held-out prompts of the config's world.

    Each is a local directory or a Hub id. Write a directory under runs_dir that `rlx compare` takes as it takes a run:
    config.yaml, evaluation.json, the samples, and versus-start.html. Raises UserError, with nothing written, where one of
    them cannot be measured.
    """
    speak()
    cell, wanted = cell_of(config), config["evaluation"]["final_num_prompts"]
    found = external(cell, policy, start)
    if wanted > (there := len(found.held_out.prompts.prompts)):
        raise UserError(
            f"evaluation.final_num_prompts={wanted}: the world has {there} held-out prompts; ask for at most those"
        )
    evaluation = found.held_out.evaluate(found.policy, wanted)
    row = measure_all(evaluation) | judge_metrics(found.judges)
    samples = final_rows(0, evaluation)
    if not cell.members():  # there is no proxy
        row = {name: value for name, value in row.items() if not name.startswith(("proxy/", "ensemble/"))}
        samples = [{k: v for k, v in sample.items() if k not in ("proxy", "member_scores")} for sample in samples]
    own = kept(dict(config), policy, start)
    directory = RunDirectory(open_run_dir(own, Path(config["runs_dir"]) / external_name(own)).parent)
    directory.write_rows(FINAL_SAMPLES, samples)
    directory.write("provenance.json", {"artefacts": found.artefacts})
    directory.write("members.json", found.judges)
    directory.write("evaluation.json", {"overrides": list(overrides), "metrics": row})
    directory.write("summary.json", row)
    directory.finish()
    page = write_external(load_record(directory.path))
    _show(f"{policy} against {start}", row, overrides)
    print(f"Side by side: {page}")
    return 0


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
    if not (run_dir / "model" / "config.json").is_file():
        raise UserError(f"{run_dir} has no model yet; finish it first: rlx train {run_dir}")
    cell, own = cell_of(config), settings_of(load_config(run_dir / "config.yaml"))
    numbers = cell.settings.evaluation
    once = "evaluation.num_prompts" in keys and "evaluation.final_num_prompts" not in keys
    wanted = numbers.num_prompts if once else numbers.final_num_prompts
    paths = {name: cell.store.fetch(recipe, cell.settings.data_seed) for name, recipe in cell.models().items()}
    held_out = assemble(cell, paths).held_out
    if wanted > (there := len(held_out.prompts.prompts)):
        key = "num_prompts" if once else "final_num_prompts"
        raise UserError(f"evaluation.{key}={wanted}: the world has {there} held-out prompts; ask for at most those")
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
