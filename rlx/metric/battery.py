"""Every held-out measurement of an evaluation, in one row: each module of this folder that has a function `measure`."""

import logging
import math
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

import rlx.metric
from rlx.core.evaluation import Evaluation

log = logging.getLogger(__name__)
Measure = Callable[[Evaluation], dict[str, float]]


@cache
def measurements() -> dict[str, Measure]:
    """Return module name -> its `measure(evaluation)`, sorted by name. A metric is added by adding its file."""
    names = sorted(module.name for module in pkgutil.iter_modules(rlx.metric.__path__))
    modules = {name: import_module(f"rlx.metric.{name}") for name in names if name != "battery"}
    return {name: module.measure for name, module in modules.items() if hasattr(module, "measure")}


def measure_all(evaluation: Evaluation) -> dict[str, float]:
    """Metric name -> finite number, sorted by name. What is undefined for these completions is absent. What came out NaN
    or infinite is absent too, with a warning that names it, because JSON has no such number."""
    row: dict[str, float] = {}
    for module, measure in measurements().items():
        metrics = measure(evaluation)
        assert not (twice := row.keys() & metrics.keys()), f"{module} measures {twice} a second time"
        row |= metrics
    for name in [name for name, value in row.items() if not math.isfinite(value)]:
        log.warning("%s is %s on this evaluation and is left out of its row", name, row.pop(name))
    return dict(sorted(row.items()))
