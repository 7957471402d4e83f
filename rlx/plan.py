"""`rlx plan`: what a train would build and run, and what it would cost, before anything is started."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlx.artefact.store import Recipe, Store
from rlx.command.advice import advice
from rlx.core.rules import has_steps
from rlx.estimate import duration, placed
from rlx.estimate.card import CARDS
from rlx.estimate.clock import duration_of
from rlx.estimate.disk import disk_bytes
from rlx.estimate.held import most
from rlx.estimate.memory import gpu_with_vllm, held
from rlx.estimate.sharing import sharing_of
from rlx.estimate.size import ModelSize, known_size
from rlx.estimate.stages import Stage, stages
from rlx.estimate.sweep import SweepPlan, whole_sweep
from rlx.run.state import run_dir_of, short_path
from rlx.run.status import state_of
from rlx.run.sweep_index import CellRow, SweepDirectory


def run(config: dict[str, Any], device: str | None = None) -> int:
    """Print the plan of a checked config, for the GPU `device` (rlx.estimate.card) where one is named. Writes nothing. 0 also
    where something could not be told: it says so."""
    console = _console()
    run_dir = run_dir_of(config)
    state = state_of(run_dir)
    says = {"new": "would be made", "done": "is done already: nothing would run"}
    console.print(
        f"\n{short_path(run_dir)}\n  {says.get(state.state, f'{state.state}, would go on')}  {state.reason}\n",
        markup=False,
    )
    missing = _artefacts(console, config)
    size = known_size(config["model"])
    _work(console, config)
    _time(console, config, size, missing, device)
    _room(console, config, size, device)
    for line in advice(config):
        console.print(f"[yellow]warning:[/] {escape(line)}", highlight=False)
    return 0


def run_all(rows: Sequence[CellRow], at_once: int, device: str | None = None) -> int:
    """Print the plan of a sweep's checked cells: what each is and lacks, what they share, and the sums."""
    console = _console()
    sweep = SweepDirectory(rows)
    done = sum(row.done for row in rows)
    console.print(
        f"\n{short_path(sweep.path)}\n  {len(rows)} cells, {done} of them done; {at_once} at a time (sweep.num_parallel)\n",
        markup=False,
    )
    plan = whole_sweep([row.config for row in rows], [row.done for row in rows], device)
    table = _table(console, "cells", "cell", "state", "lacks", "time" if plan.source else "time (unknown)")
    for row, missing, seconds in zip(rows, plan.missing, plan.seconds, strict=True):
        own = " ".join(f"{key}={value}" for key, value in [*row.axes.items(), ("seed", row.config["seed"])])
        lacks = f"{len(missing)} artefacts" if missing else "nothing"
        minutes = "" if seconds is None or row.done else _minutes(seconds)
        table.add_row(escape(own), row.state.state, "" if row.done else lacks, minutes)
    console.print(table)
    table = _table(console, f"artefacts in {rows[0].config['cache_dir']}", "artefact", "state", "for cells", "where")
    for one in plan.artefacts:
        state = "[green]there[/]" if one.there else "[yellow]to build[/]"
        table.add_row(one.name, state, str(one.cells), one.address)
    console.print(table)
    _sums(console, rows, plan, at_once)
    return 0


def _sums(console: Console, rows: Sequence[CellRow], plan: SweepPlan, at_once: int) -> None:
    todo = [row.config for row in rows if not row.done]
    table = _table(console, f"together ({plan.source or 'no such run was timed here'})", "what", "how much", "from")
    lacking = sum(not one.there for one in plan.artefacts)
    never = f"not known for {len(plan.unknown)}, none of the kind was built here" if plan.unknown else ""
    known = _minutes(plan.building) if len(plan.unknown) < lacking or not lacking else ""
    table.add_row("artefacts", "; ".join(filter(None, (known, never))), f"{lacking} to build, each once")
    if None not in plan.seconds:
        cells = sum(seconds or 0.0 for seconds in plan.seconds)
        table.add_row("cells", _minutes(cells), f"{len(todo)} to run, one after another")
        more = ", and artefacts not yet timed" if plan.unknown else ""
        together = plan.building + cells / at_once
        table.add_row(
            "[bold]on the clock[/]", f"[bold]{_minutes(together)}[/]{more}", f"{at_once} at a time, if cores allow"
        )
    largest = max((memory for memory in plan.memory if memory is not None), default=None)
    if largest is not None:
        table.add_row("memory", _bytes(largest * at_once), f"{_bytes(largest)} a process x {at_once} cells at a time")
    if plan.disk is not None:
        artefacts, runs = plan.disk
        config = rows[0].config
        free = {name: _free(Path(config[key])) for name, key in (("artefacts", "cache_dir"), ("runs", "runs_dir"))}
        table.add_row("disk, artefacts", f"up to {_bytes(artefacts)}", f"{_bytes(free['artefacts'])} free")
        table.add_row("disk, runs", f"up to {_bytes(runs)}", f"{_bytes(free['runs'])} free")
    console.print(table)
    if plan.disk is not None and (plan.disk[0] > free["artefacts"] or plan.disk[1] > free["runs"]):
        console.print("[red]not enough disk:[/] set cache_dir=, runs_dir= (or RLX_CACHE, RLX_RUNS) to a larger one")


def _artefacts(console: Console, config: Mapping[str, Any]) -> dict[str, Recipe]:
    """The artefacts still to build, by name."""
    from rlx.experiment.cell import cell_of
    from rlx.experiment.preflight import check_cell
    from rlx.model.checkpoint import NotAtHandError

    cell, seed = cell_of(config), config["data_seed"]
    try:
        check_cell(cell)
    except NotAtHandError as error:
        console.print(f"[dim]tokenizer, chat template and context are not checked: {escape(str(error))}[/]\n")
    recipes = cell.recipes()
    store, missing = Store(Path(config["cache_dir"]).expanduser()), {}
    table = _table(console, f"artefacts in {config['cache_dir']}", "artefact", "state", "where")
    for name, recipe in recipes.items():
        there = store.has(recipe, seed)
        missing |= {} if there else {name: recipe}
        table.add_row(name, "[green]there[/]" if there else "[yellow]to build[/]", store.path(recipe, seed).name)
    console.print(table)
    return missing


def _work(console: Console, config: Mapping[str, Any]) -> None:
    samples = config["optimizer"].get("num_samples") or 1
    table = _table(console, "what runs", "work", "count", "from")
    if not has_steps(config):
        distilled = " (+ optimizer.num_distilled)" if config["optimizer"]["distill"] else ""
        source = f"evaluation.num_prompts{distilled} x {samples} samples"
        table.add_row("completions chosen among", f"{duration.completions(config):,}", source)
        console.print(table)
        return
    table.add_row("rollouts", f"{config['num_steps']:,}", "num_steps")
    table.add_row(
        "completions learnt from or chosen among",
        f"{duration.completions(config):,}",
        f"x {config['num_prompts']} prompts x {samples} samples",
    )
    table.add_row("steps of AdamW", f"{duration.updates(config):,}", "x optimizer.num_epochs x num_minibatches")
    table.add_row("held-out completions", f"{duration.evaluated(config):,}", "evaluation.*")
    console.print(table)


def _time(
    console: Console, config: Mapping[str, Any], size: ModelSize | None, missing: dict[str, Recipe], device: str | None
) -> None:
    past = duration.past_runs(Path(config["runs_dir"]))
    estimate = duration_of(config, size, past, device)
    if isinstance(estimate, str):
        console.print(f"[yellow]time:[/] {estimate}\n")
        return
    table = _table(console, f"time ({estimate.source})", "stage", "time")
    for stage, seconds in estimate.seconds.items():
        table.add_row(stage, _minutes(seconds))
    building, unknown = duration.of_recipes(config, missing, Store(Path(config["cache_dir"]).expanduser()), past)
    if missing:
        never = f"not known for {len(unknown)}, none was built here" if unknown else ""
        known = _minutes(building) if len(unknown) < len(missing) else ""
        table.add_row(f"{len(missing)} artefacts", "; ".join(filter(None, (known, never))))
    more = ", and artefacts not yet timed" if unknown else ""
    table.add_row("[bold]together[/]", f"[bold]{_minutes(building + sum(estimate.seconds.values()))}[/]{more}")
    console.print(table)


def _room(console: Console, config: Mapping[str, Any], size: ModelSize | None, device: str | None = None) -> None:
    if size is None:
        console.print("[yellow]memory and disk:[/] the model's size is unknown")
        return
    rows, sharing = held(config, size), sharing_of(config)
    place = "on CPUs" if sharing.on_cpu else f"on {sharing.processes} GPU{'s' * (sharing.processes > 1)}"
    title = f"memory of each process, {place} ({size.parameters:,} parameters, {size.source})"
    table = _table(console, title, "for", "size", "when", "from")
    for row in rows:
        table.add_row(row.what, _bytes(row.bytes) if row.bytes else "-", row.shown_when, row.how)
    table.add_row("[bold]together[/]", f"[bold]{_bytes(most(rows))}[/]", "at most")
    if offloaded := most(rows, offloaded=True):
        table.add_row("[bold]in the CPU's memory[/]", f"[bold]{_bytes(offloaded)}[/]", "at most")
    console.print(table)
    if line := placed.told(config):
        console.print(line, markup=False)
    before = stages(config, size)
    _stages(console, before)
    needed = gpu_with_vllm(config, size, rows)
    if device is not None:
        _fits(console, max(needed or most(rows), *(stage.bytes for stage in before)), device, sharing.on_cpu)
    if needed is not None:
        share = f"{config['sampler']['gpu_memory_utilization']:.0%}"
        console.print(f"vLLM takes {share} of each GPU beside it: one of {_bytes(needed)} at least", markup=False)
    elif config["sampler"].get("mode") == "server":
        console.print("vLLM's server, on GPUs of its own, is not in it", markup=False)
    if size.architecture is None:
        console.print("without activations and keys and values: the model's config.json is not at hand", markup=False)
    artefacts, run = disk_bytes(config, size)
    free = {name: _free(Path(config[key])) for name, key in (("artefacts", "cache_dir"), ("run", "runs_dir"))}
    console.print(
        f"disk: artefacts up to {_bytes(artefacts)} ({_bytes(free['artefacts'])} free), run up to {_bytes(run)} ({_bytes(free['run'])} free)"
    )
    if artefacts > free["artefacts"] or run > free["run"]:
        console.print("[red]not enough disk:[/] set cache_dir=, runs_dir= (or RLX_CACHE, RLX_RUNS) to a larger one")


def _stages(console: Console, before: Sequence[Stage]) -> None:
    table = _table(console, "memory of each process while an artefact is built", "artefact", "size", "from")
    for stage in before:
        table.add_row(stage.name, _bytes(stage.bytes), stage.how)
    console.print(table)


def _fits(console: Console, needed: float, device: str, on_cpu: bool) -> None:
    """Set the largest number of all against the memory of the card."""
    there = CARDS[device].memory
    if on_cpu:
        console.print(f"[yellow]plan.device={device}:[/] compute=cpu takes no GPU; compute=ddp takes one")
    elif needed <= there:
        console.print(f"[green]fits {device}:[/] at most {_bytes(needed)} of its {_bytes(there)}")
    else:
        console.print(
            f"[red]does not fit {device}:[/] up to {_bytes(needed)}, and it has {_bytes(there)}; what saves memory: docs/scale.md"
        )


def _console() -> Console:
    console = Console(soft_wrap=False, highlight=False)
    console.width = max(console.width, 120)
    return console


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
