"""Which of the estimates of time a plan shows: a run that was timed, a card's rates, this machine's, or none."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlx.core.rules import kind
from rlx.estimate import duration
from rlx.estimate.card import CARDS, from_card
from rlx.estimate.duration import Duration, PastRun
from rlx.estimate.sharing import sharing_of
from rlx.estimate.size import ModelSize


def duration_of(
    config: Mapping[str, Any], size: ModelSize | None, past: Sequence[PastRun], device: str | None
) -> Duration | str:
    """The estimate, or why there is none. With a card, that card's; else the nearest run that was timed here on the same
    kind of device; else a rule of thumb, which a machine without a GPU has for runs on the CPU alone."""
    on_cpu = sharing_of(config).on_cpu
    if device is not None and not on_cpu:
        return from_card(config, size, device) if size else "the model's size is unknown"
    alike = [run for run in past if _on_cpu(run) == on_cpu]
    if (found := duration.from_past(config, alike)) is not None:
        return found
    if size is None:
        return "no such run was timed here and the model's size is unknown"
    if not on_cpu and duration.device() == "CPU":
        cards = ", ".join(CARDS)
        return f"not known: this machine has no GPU, and no such run was timed here; say which it will be: plan.device={cards}"
    return duration.from_rule(config, size.parameters, duration.machine_flops())


def _on_cpu(run: PastRun) -> bool:
    return kind(run.config, "compute") == "cpu"
