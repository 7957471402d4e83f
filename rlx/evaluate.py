"""`rlx evaluate RUN`: measure a finished run's model again on held-out prompts, as many as wanted."""

import logging
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rlx.core.error import UserError
from rlx.experiment.assembly import assemble
from rlx.experiment.cell import cell_of
from rlx.experiment.keep_best import left_aside
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_critic
from rlx.process.device import on_device
from rlx.process.logs import speak
from rlx.run.directory import RunDirectory
from rlx.run.state import load_config

log = logging.getLogger(__name__)


def run(run_dir: Path, num_prompts: int | None) -> int:
    """Write evaluation.json beside summary.json and show it. Raises UserError where there is no model yet."""
    speak()
    if not (run_dir / "model" / "config.json").is_file():
        raise UserError(f"{run_dir} has no model yet; finish it first: rlx train {run_dir}")
    cell = cell_of(load_config(run_dir / "config.yaml"))
    seed = cell.settings.data_seed
    paths = {name: cell.store.fetch(recipe, seed) for name, recipe in cell.recipes().items()}
    held_out = assemble(cell, paths).held_out
    wanted = num_prompts or cell.settings.evaluation.final_num_prompts
    if wanted > (there := len(held_out.prompts.prompts)):
        raise UserError(f"--num-prompts {wanted}: the world has {there} held-out prompts; ask for at most those")
    if not (cell.optimizer.num_epochs or getattr(cell.optimizer, "distill", False)):
        log.warning(
            "best-of-n leaves the start policy as it was: this measures one completion of it, not the best of n"
        )
    policy = on_device(with_critic(cell.model.policy(run_dir / "model"), "none"))
    aside = left_aside(cell.settings, held_out.prompts.prompts)
    row = measure_all(held_out.evaluate(policy, wanted, without=aside))
    if aside:
        log.warning("the prompts that chose the step of checkpoint.keep_best are left out; %d remain", _num(row))
    RunDirectory(run_dir).write("evaluation.json", row)
    table = Table("measurement", "value", title=f"{run_dir.name} on {_num(row)} held-out prompts", title_justify="left")
    for name, value in row.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
    return 0


def _num(row: dict[str, float]) -> int:
    return int(row["evaluation/num_prompts"])
