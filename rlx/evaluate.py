"""`rlx evaluate RUN key=value ...`: measure a finished run again, on other prompts, with another sampling or by another gold.

`rlx evaluate --policy P --start S key=value ...`: measure a policy that was trained elsewhere as a run's own is.
`rlx evaluate RUN decoder=fusion decoder.experts=[...]`: measure the policy with what small experts learnt.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlx.command.decoding import DecodingJob, decoded_config, decoded_path, decoder_name
from rlx.command.external import kept
from rlx.command.overriding import keys_of
from rlx.comparison.other_gold import measured as measured_by
from rlx.core.error import UserError
from rlx.core.settings import settings_of
from rlx.estimate.decoding import completions, loaded
from rlx.experiment.assembly import assemble
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.decoding import decoder_of, fused
from rlx.experiment.external import external
from rlx.experiment.keep_best import left_aside
from rlx.experiment.measured import DecodedRun, check_model, check_num, evaluated, write
from rlx.experiment.on_pairs import judge_metrics
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_critic
from rlx.process.device import on_device
from rlx.process.logs import speak
from rlx.process.progress import stage
from rlx.report import write_decoders, write_external
from rlx.run.directory import RunDirectory
from rlx.run.name import external_name
from rlx.run.record import load_record
from rlx.run.state import load_config

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


def run_decoded(job: DecodingJob, words: Sequence[str]) -> int:
    """Measure a run's policy as a decoder draws from it, against the policy that the run started from.

    Write a directory under runs_dir that `rlx compare` takes. Raises UserError, with nothing written, where the run or an
    expert has no model, or where they do not share their tokens.
    """
    speak()
    check_model(job.run_dir)
    path = decoded_path(job.run_dir, job.config, job.decoder)
    _beside_start(path, path.name, _decoded(job, words, path, {}), words)
    return 0


def run_decoded_sweep(sweep_dir: Path, jobs: Sequence[DecodingJob], words: Sequence[str]) -> int:
    """Measure every run of a sweep by every decoder, and write decoders.html and .json into the sweep's directory.

    A measurement that is there already is read, not repeated.
    """
    speak()
    measured: list[dict[str, Any]] = []
    loaded_runs: dict[Path, DecodedRun] = {}
    with stage("decoders", len(jobs)) as bar:
        for job in jobs:
            path = decoded_path(job.run_dir, job.config, job.decoder)
            row = load_record(path).summary if (path / "summary.json").is_file() else {}
            row = row or _decoded(job, words, path, loaded_runs)
            name = decoder_name(job.decoder)
            experts = [Path(expert).name for expert in job.named_experts]
            measured.append(
                {"seeds": job.seeds, "decoder": name, "experts": experts, "path": str(path), "metrics": row}
            )
            bar.advance(1)
    page = write_decoders(sweep_dir, measured)
    print(f"Compared: {page}")
    return 0


def plan_decoded(jobs: Sequence[DecodingJob]) -> int:
    """Print what the measurements would load, draw and take. Nothing runs."""
    console = Console()
    first, missing = jobs[0], [job for job in jobs if not _seconds(job)]
    table = Table("model", "parameters", "weights", "keys and values", title="in memory", title_justify="left")
    for model in loaded(first.config, first.decoder):
        size = model.size
        numbers = ("not known",) * 2 if size is None else (f"{size.parameters:,}", f"{size.weights / 1e6:,.3g} MB")
        table.add_row(model.what, *numbers, "not known" if model.cache is None else f"{model.cache / 1e6:,.3g} MB")
    console.print(table)
    each = f"{completions(first.config)} completions each"
    console.print(f"{len(jobs)} measurements of {each}; {len(jobs) - len(missing)} are there already.", highlight=False)
    timed = [seconds for job in jobs if (seconds := _seconds(job))]
    if missing and timed:
        console.print(f"The rest takes about {sum(timed) / len(timed) * len(missing) / 60:.1f} min.", highlight=False)
    elif missing:
        console.print("No such measurement was timed here, so its time is not known.")
    return 0


def _seconds(job: DecodingJob) -> float:
    """What the measurement took; 0 where it is not there."""
    path = decoded_path(job.run_dir, job.config, job.decoder)
    record = load_record(path) if (path / "summary.json").is_file() else None
    return 0.0 if record is None else float(record.provenance.get("seconds") or 0.0)


def _decoded(
    job: DecodingJob, words: Sequence[str], path: Path, loaded_runs: dict[Path, DecodedRun]
) -> dict[str, float]:
    """Measure and write. `loaded_runs` keeps the run of the last job, for the next decoder of the same run."""
    start = time.monotonic()
    if job.run_dir not in loaded_runs:
        loaded_runs.clear()
        loaded_runs[job.run_dir] = DecodedRun(job.run_dir, job.config)
    run = loaded_runs[job.run_dir]
    measured = run.measured(job.decoder)
    made = {"artefacts": run.artefacts, "seconds": time.monotonic() - start}
    _, row = write(decoded_config(job.run_dir, job.config, job.decoder), path, measured, words, made, [], run.cell)
    return row


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
    check_num(wanted, found.held_out, "final_num_prompts")
    own = kept(dict(config), policy, start, decoder)
    measured = evaluated(found.held_out, fused(found.policy, decoder_of(decoder), cell, config), wanted, cell)
    measured = measured._replace(row=measured.row | judge_metrics(found.judges))
    path = Path(config["runs_dir"]) / external_name(own)
    directory, row = write(own, path, measured, overrides, {"artefacts": found.artefacts}, found.judges, cell)
    _beside_start(directory.path, f"{policy} against {start}", row, overrides)
    return 0


def _beside_start(path: Path, what: str, row: Mapping[str, float], overrides: Sequence[str]) -> None:
    """Write the page of the measurement in `path` beside its start, and show the numbers."""
    page = write_external(load_record(path))
    _show(what, row, overrides)
    print(f"Side by side: {page}")


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
    return measured_by(rows, cell.judge())


def _drawn(run_dir: Path, config: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, float]:
    check_model(run_dir)
    cell, own = cell_of(config), settings_of(load_config(run_dir / "config.yaml"))
    numbers = cell.settings.evaluation
    once = "evaluation.num_prompts" in keys and "evaluation.final_num_prompts" not in keys
    wanted = numbers.num_prompts if once else numbers.final_num_prompts
    paths = {name: cell.store.fetch(recipe, cell.settings.data_seed) for name, recipe in cell.models().items()}
    held_out = assemble(cell, paths | cell.start_completions_there(own)).held_out
    check_num(wanted, held_out, "num_prompts" if once else "final_num_prompts")
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
