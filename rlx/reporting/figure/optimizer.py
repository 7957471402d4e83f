"""The optimiser's own gauges, by which one tells a run that learns badly from one that learns the wrong thing."""

from matplotlib.figure import Figure

from rlx.reporting.figure.panels import Panel, draw_panels
from rlx.run.record import RunRecord

TITLE = "The optimiser from inside"
ABSENT = "it takes two training steps."
CAPTION = (
    "One value a rollout. A clip fraction that stays above 0.3 or an approximate KL above 0.05 means that steps are "
    "too large; a value loss that does not fall means that the critic has learnt nothing.{fixed}"
)
MEASURED = (
    ("objective/scores", "proxy score in rollouts"),
    ("objective/rlhf_reward", "score minus penalty"),
    ("policy/clipfrac_avg", "clip fraction"),
    ("policy/approxkl_avg", "approximate KL of a step"),
    ("loss/value_avg", "value loss"),
    ("val/ratio", "probability ratio"),
    ("regularizer/beta", "β of the penalty"),
    ("lr", "learning rate"),
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption, which names what never changed; None without two training rows."""
    panels, fixed = [], []
    for name, title in MEASURED:
        steps, values = record.series("train", name)
        if len(steps) < 2:
            continue
        if values.min() == values.max():
            fixed.append(f"{title} {values[0]:g}")
        else:
            panels.append(Panel(title, steps, values))
    if not panels:
        return None
    return draw_panels(panels), CAPTION.format(fixed=f" Constant all along: {', '.join(fixed)}." if fixed else "")
