"""How long completions are, and how many end by themselves: both are where hacking shows first."""

from rlx.core.evaluation import Evaluation


def measure(evaluation: Evaluation) -> dict[str, float]:
    """Tokens per completion, the end-of-sequence token included; share of completions that closed with one."""
    ended = [completion.ended for completion in evaluation.completions]
    return {
        "completions/mean_length": evaluation.mask_BT.double().sum(-1).mean().item(),
        "completions/eos_rate": sum(ended) / len(ended),
    }
