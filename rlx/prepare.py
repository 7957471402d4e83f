"""`rlx prepare`: the artefacts that a cell needs, without training a policy."""

from collections.abc import Mapping
from typing import Any

from rlx.core.logs import speak
from rlx.experiment.cell import cell_of


def run(config: Mapping[str, Any]) -> int:
    """Build what is missing; say where everything is."""
    speak()
    cell = cell_of(config)
    for name, recipe in cell.recipes().items():
        there = cell.store.has(recipe, cell.settings.data_seed)
        path = cell.store.fetch(recipe, cell.settings.data_seed)
        print(f"{name:20s} {'there' if there else 'built':6s} {path}", flush=True)
    return 0
