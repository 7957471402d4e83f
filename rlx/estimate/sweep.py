"""What a sweep would build and cost: artefacts once for all cells, the cells one by one, and their sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.artefact.store import Store
from rlx.estimate import duration
from rlx.estimate.clock import duration_of
from rlx.estimate.disk import disk_bytes, reward_model_bytes, training_bytes
from rlx.estimate.held import most
from rlx.estimate.memory import held
from rlx.estimate.size import ModelSize, known_size
from rlx.estimate.stages import stages


@dataclass(frozen=True)
class Artefact:
    name: str
    address: str
    there: bool
    cells: int  # that need it


@dataclass(frozen=True)
class SweepPlan:
    """Lists have an entry a cell. None where nothing is known."""

    artefacts: list[Artefact]
    missing: list[list[str]]  # names of what the cell lacks now
    seconds: list[float | None]  # of the cell's own stages; 0 for one that is done
    memory: list[int | None]  # bytes of a process of the cell, at most
    disk: tuple[int, int] | None  # bytes of all artefacts and all run directories, at most
    building: float  # s, all missing artefacts once
    unknown: list[str]  # missing artefacts of whose kind none was timed
    source: str  # where the seconds come from


def whole_sweep(configs: Sequence[Mapping[str, Any]], done: Sequence[bool], device: str | None = None) -> SweepPlan:
    """The plan of checked configs, for the GPU `device` where one is named; builds the objects that they describe, and
    writes nothing."""
    from rlx.experiment.cell import cell_of

    past = duration.past_runs(Path(configs[0]["runs_dir"]))
    sizes = {str(config["model"]): known_size(config["model"]) for config in _distinct(configs)}
    found: dict[str, Artefact] = {}
    missing, seconds, memory, sources = [], [], [], []
    building, unknown, weights = 0.0, [], {}
    runs = training = 0
    for config, is_done in zip(configs, done, strict=True):
        size, lacks = sizes[str(config["model"])], []
        for name, recipe in cell_of(config).recipes().items():
            store = Store(Path(config["cache_dir"]).expanduser())
            path, there = store.path(recipe, config["data_seed"]), store.has(recipe, config["data_seed"])
            before = found.get(path.name)
            if before is None and not there and not is_done:
                more, none = duration.of_recipes(config, {name: recipe}, store, past)
                building, unknown = building + more, [*unknown, *none]
            if is_done and before is None and not there:
                continue  # a run that is done needs nothing any more
            found[path.name] = Artefact(name, path.name, there, 1 + (before.cells if before else 0))
            lacks += [] if there else [name]
            if size is not None and "SFT policy" in name:
                weights[path.name] = size.weights
            elif size is not None and name != "reward models on pairs" and "reward model" in name:
                weights[path.name] = reward_model_bytes(config, size)
        told = duration_of(config, size, past, device)
        estimate = None if isinstance(told, str) else told
        missing.append([] if is_done else lacks)
        seconds.append(0.0 if is_done else None if estimate is None else sum(estimate.seconds.values()))
        memory.append(None if size is None else _most(config, size))
        sources += [estimate.source] if estimate and estimate.source not in sources else []
        runs += 0 if size is None else disk_bytes(config, size)[1]
        training = max(training, 0 if size is None else training_bytes(config, size))
    disk = None if None in sizes.values() else (sum(weights.values()) + training, runs)
    source = sources[0] + (f", and {len(sources) - 1} more" if len(sources) > 1 else "") if sources else ""
    return SweepPlan(list(found.values()), missing, seconds, memory, disk, building, unknown, source)


def _most(config: Mapping[str, Any], size: ModelSize) -> int:
    """Bytes of a process, in the run or while its artefacts are built."""
    return max(most(held(config, size)), *(stage.bytes for stage in stages(config, size)))


def _distinct(configs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({str(config["model"]): config for config in configs}.values())
