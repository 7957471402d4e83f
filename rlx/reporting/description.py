"""What was run, in one sentence that a colleague understands without knowing the config."""

import re

from rlx.core.signature import constant
from rlx.run.record import RunRecord


def describe(record: RunRecord) -> str:
    """The sentence, from the titles of the choices' classes; a choice without one is given as it was typed, e.g.
    reward=my_own."""
    part = record.config.get
    if record.external:
        if part("decoder"):
            return _decoded(record)
        data_seed = f", data seed {part('data_seed')}" if part("data_seed") else ""
        trained = "the start itself" if part("policy") == part("start") else f"trained elsewhere from {part('start')}"
        return f"{part('policy')}, {trained}, measured in world {record.choice('world')}{data_seed}."
    optimizer = title(record, "optimizer")
    regularizer, beta = title(record, "regularizer"), (part("regularizer") or {}).get("beta")
    strength = "" if beta is None else f" (β = {beta:g}, adaptive)" if _adaptive(record) else f" (β = {beta:g})"
    held = f"held by {regularizer}{strength} to" if beta != 0 or _adaptive(record) else "free to leave (β = 0)"
    reward = title(record, "reward")
    reference = title(record, "reference")
    noise = (part("world") or {}).get("label_noise")
    labels = ""
    if noise and record.members:  # gold has none
        labels = f" trained on preferences of which {100 * noise:g} % are flipped"
    if record.cleaning:
        labels += f"{',' if labels else ' trained on preferences'} {title(record, 'cleaner')}"
    if any(member.get("held_to") for member in record.members):
        labels += f"{',' if labels else ''} {title(record, 'attribution')}"
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


def _decoded(record: RunRecord) -> str:
    """A policy as a decoder draws from it."""
    decoder, part = record.config["decoder"], record.config.get
    names = [str(path).rpartition("/")[2] for path in decoder.get("experts", ())]
    added = f" with what training changed in {', '.join(names)}, by {title(record, 'decoder')}" if names else ""
    data_seed = f", data seed {part('data_seed')}" if part("data_seed") else ""
    return f"{part('policy')}{added}, measured in world {record.choice('world')}{data_seed}."


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


def title(record: RunRecord, group: str) -> str:
    """The choice made for `group` in words: `title` of its class, with the choice's own settings in its braces."""
    settings = record.config.get(group) or {}
    words = constant(str(settings.get("_target_", "")), "title")
    if not isinstance(words, str):
        return f"{group}={record.choice(group)}"
    known = {"num_members": len(record.members)} | {key: value for key, value in settings.items() if value is not None}
    return re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1]) or "several"), words)
