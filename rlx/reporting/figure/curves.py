"""What the policy turns into while its score rises: divergences, entropy, length, ends and sameness."""

from matplotlib.figure import Figure

from rlx.reporting.figure.panels import Panel, draw_panels
from rlx.run.record import RunRecord

TITLE = "How the policy changed"
ABSENT = "it takes two held-out evaluations."
CAPTION = (
    "Points: held-out evaluations; thin line: training rollouts, where measured there too. KL and χ² are those of "
    "whole completions; entropy is per token. Similarity across prompts is 1 when every prompt gets the same answer."
)
# metric, title, whether it is a share of 1
MEASURED = (
    ("objective/kl", "KL to the reference, nats", False),
    ("objective/chi2", "χ² to the reference", False),
    ("objective/entropy", "entropy, nats per token", False),
    ("completions/mean_length", "length, tokens", False),
    ("completions/eos_rate", "share that ends by itself", True),
    ("diversity/similarity", "similarity across prompts", True),
    ("diversity/repetition", "repetition within an answer", True),
    ("proxy/gold_correlation", "correlation of proxy and gold", False),
)


def draw(record: RunRecord) -> tuple[Figure, str] | None:
    """The figure and its caption; None without two evaluations."""
    panels = []
    for name, title, share in MEASURED:
        steps, values = record.series("heldout", name)
        if len(steps) > 1:
            train = record.series("train", name)
            quiet = train if len(train[0]) > 1 else None
            panels.append(Panel(title, steps, values, quiet=quiet, share=share, explodes=name == "objective/chi2"))
    return (draw_panels(panels), CAPTION) if panels else None
