"""What was run, in one sentence that a colleague understands without knowing the config."""

from typing import Any

from rlx.core.record import RunRecord

OPTIMIZERS = {"ppo": "PPO", "bon": "Best of {n}", "superhf": "SuperHF", "inpo": "INPO"}
REGULARIZERS = {"kl": "a KL penalty", "chi2": "a χ² penalty"}
REWARDS = {
    "single": "one reward model",
    "ensemble_mean": "the mean of {n} reward models",
    "ensemble_wco": "the most sceptical of {n} reward models (WCO)",
    "ensemble_uwo": "the mean of {n} reward models less their disagreement (UWO)",
    "warm": "{n} reward models averaged into one (WARM)",
}
REFERENCES = {"frozen": "the start policy itself", "soup": "a soup of {n} SFT policies"}


def describe(record: RunRecord) -> str:
    """The sentence; a choice that is not known here is given as it was typed, e.g. reward=my_own."""
    part = record.config.get
    optimizer = _word(record, "optimizer", OPTIMIZERS, (part("optimizer") or {}).get("num_samples"))
    regularizer, beta = _word(record, "regularizer", REGULARIZERS), (part("regularizer") or {}).get("beta")
    strength = "" if beta is None else f" (β = {beta:g}, adaptive)" if _adaptive(record) else f" (β = {beta:g})"
    held = f"held by {regularizer}{strength} to" if beta != 0 or _adaptive(record) else "free to leave (β = 0)"
    reward = _word(
        record, "reward", REWARDS, (part("reward") or {}).get("num_members") or len(record.members) or "several"
    )
    reference = _word(record, "reference", REFERENCES, (part("reference") or {}).get("num_policies") or "several")
    noise = (part("world") or {}).get("label_noise")
    labels = f" trained on preferences of which {100 * noise:g} % are flipped" if noise else ""
    if record.choice("optimizer") == "bon":
        held, reference, size = _chosen(record, f"{regularizer}{strength}", reference)
    else:
        size = f"{part('num_steps')} steps of {part('num_prompts')} prompts"
    size += f", seed {part('seed')}"
    if part("data_seed"):
        size += f", data seed {part('data_seed')}"
    return (
        f"{optimizer} against {reward}{labels}, {' '.join(filter(None, (held, reference)))}, "
        f"in world {record.choice('world')} with model {model_name(record)}: {size}."
    )


def _chosen(record: RunRecord, penalty: str, reference: str) -> tuple[str, str, str]:
    """How best-of-n is held by what, and how many completions it saw."""
    optimizer = record.config.get("optimizer") or {}
    size = f"{record.num_prompts} held-out prompts"
    if optimizer.get("distill"):
        size = f"distilled from {optimizer.get('num_distilled')} training prompts, {size}"
    if record.choice("reference") == "frozen":
        return "chosen by it alone (the reference is the policy that samples, so the penalty is zero)", "", size
    if (record.config.get("regularizer") or {}).get("beta") == 0:
        return "chosen by it alone (β = 0)", "", size
    return f"chosen by it less {penalty} against", reference, size


def model_name(record: RunRecord) -> str:
    """The base model: its path or Hub id where the config has one, else the choice's name."""
    return str((record.config.get("model") or {}).get("path") or record.choice("model"))


def _adaptive(record: RunRecord) -> bool:
    return (record.config.get("regularizer") or {}).get("target") is not None


def _word(record: RunRecord, group: str, words: dict[str, str], n: Any = None) -> str:
    choice = record.choice(group)
    return words[choice].format(n=n) if choice in words else f"{group}={choice}"
