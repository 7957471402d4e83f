"""`rlx plan`: what a train would build and run, and what it would cost, before anything is started."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rlx.command.runs import run_dir_of, shown, state_of
from rlx.core.error import UserError
from rlx.core.store import Store
from rlx.estimate import duration
from rlx.estimate.size import ModelSize, size_of, training_bytes


def run(config: dict[str, Any]) -> int:
    """Print the plan of a checked config. Writes nothing. 0 also where something could not be told: it says so."""
    console = Console(soft_wrap=False, highlight=False)
    console.width = max(console.width, 100)
    run_dir = run_dir_of(config)
    state = state_of(run_dir)
    says = {"new": "would be made", "done": "is done already: nothing would run"}
    console.print(
        f"\n{shown(run_dir)}\n  {says.get(state.state, f'{state.state}, would go on')}  {state.reason}\n", markup=False
    )
    missing = _artefacts(console, config)
    size = _size(config["model"])
    _work(console, config)
    _time(console, config, size, missing)
    _room(console, config, size)
    return 0


def _artefacts(console: Console, config: Mapping[str, Any]) -> list[str]:
    """The names of the artefacts still to build."""
    from rlx.experiment.cell import cell_of

    recipes, seed = cell_of(config).recipes(), config["data_seed"]
    store, missing = Store(Path(config["cache_dir"]).expanduser()), []
    table = _table(console, f"artefacts in {config['cache_dir']}", "artefact", "state", "where")
    for name, recipe in recipes.items():
        there = store.has(recipe, seed)
        missing += [] if there else [name]
        table.add_row(name, "[green]there[/]" if there else "[yellow]to build[/]", store.path(recipe, seed).name)
    console.print(table)
    return missing


def _size(model: Mapping[str, Any]) -> ModelSize | None:
    try:
        return size_of(model)
    except (UserError, ImportError, AttributeError, OSError):
        return None  # a model that is not at hand yet: the tables say that its size is unknown


def _work(console: Console, config: Mapping[str, Any]) -> None:
    samples = config["optimizer"].get("num_samples") or 1
    table = _table(console, "what runs", "work", "count", "from")
    table.add_row("rollouts", f"{config['num_steps']:,}", "num_steps")
    table.add_row(
        "completions learnt from or chosen among",
        f"{duration.completions(config):,}",
        f"x {config['num_prompts']} prompts x {samples} samples",
    )
    table.add_row("steps of AdamW", f"{duration.updates(config):,}", "x optimizer.num_epochs x num_minibatches")
    table.add_row("held-out completions", f"{duration.evaluated(config):,}", "evaluation.*")
    console.print(table)


def _time(console: Console, config: Mapping[str, Any], size: ModelSize | None, missing: list[str]) -> None:
    past = duration.past_runs(Path(config["runs_dir"]))
    estimate = duration.from_past(config, past)
    if estimate is None and size is not None:
        estimate = duration.from_rule(config, size.parameters, duration.machine_flops())
    if estimate is None:
        console.print("[yellow]time:[/] no such run was timed here and the model's size is unknown")
        return
    table = _table(console, f"time ({estimate.source})", "stage", "time")
    for stage, seconds in estimate.seconds.items():
        table.add_row(stage, _minutes(seconds))
    building, unknown = duration.of_artefacts(config, missing, past)
    if missing:
        never = f"not known for {len(unknown)}, none was built here" if unknown else ""
        known = _minutes(building) if len(unknown) < len(missing) else ""
        table.add_row(f"{len(missing)} artefacts", "; ".join(filter(None, (known, never))))
    more = " and what is not known" if unknown else ""
    table.add_row("[bold]together[/]", f"[bold]{_minutes(building + sum(estimate.seconds.values()))}[/]{more}")
    console.print(table)


def _room(console: Console, config: Mapping[str, Any], size: ModelSize | None) -> None:
    if size is None:
        console.print("[yellow]memory and disk:[/] the model's size is unknown")
        return
    members, kind = config["reward"].get("num_members", 1), str(config["reward"]["_target_"])
    scoring = members if "ensemble" in kind else 1  # warm has become one model, single is one
    share = 0.01 if config["model"].get("lora_rank") else 1.0
    parts = training_bytes(size, share, config["optimizer"].get("critic"), scoring)
    title = f"memory per process without activations ({size.parameters:,} parameters, {size.source})"
    table = _table(console, title, "for", "size")
    for name, number in parts.items():
        table.add_row(name, _bytes(number))
    table.add_row("[bold]together[/]", f"[bold]{_bytes(sum(parts.values()))}[/]")
    console.print(table)
    policies = config["reference"].get("num_policies", 1)
    artefacts = (policies + members) * size.weights
    run = size.weights * (1 + config["checkpoint"]["keep"] * 3)  # the model; weights and both moments of AdamW
    free = {name: _free(Path(config[key])) for name, key in (("artefacts", "cache_dir"), ("run", "runs_dir"))}
    console.print(
        f"disk: artefacts up to {_bytes(artefacts)} ({_bytes(free['artefacts'])} free), run up to {_bytes(run)} ({_bytes(free['run'])} free)"
    )
    if artefacts > free["artefacts"] or run > free["run"]:
        console.print("[red]not enough disk:[/] set cache_dir=, runs_dir= (or RLX_CACHE, RLX_RUNS) to a larger one")


def _table(console: Console, title: str, *columns: str) -> Table:
    """An empty table under its title, which may be wider than the table."""
    console.print(f"[bold]{title}[/]")
    return Table(*columns, box=SIMPLE_HEAD)


def _free(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
