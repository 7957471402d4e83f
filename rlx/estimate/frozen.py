"""The models that learn nothing while the policy does: whole in every process, in the model's dtype."""

from collections.abc import Mapping
from typing import Any

from rlx.core.rules import has_members, has_steps, kind
from rlx.estimate.held import Held
from rlx.estimate.placed import placement_of
from rlx.estimate.sharing import mixed_precision, sharing_of
from rlx.estimate.size import ModelSize, known_size


def beside(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    """Reference, start, reward models and the gold model."""
    return [*_policies(config, size), *_judges(config, size)]


def _policies(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    rank, sharing = config["model"].get("lora_rank") or 0, sharing_of(config)
    soup = (config["reference"].get("num_policies") or 1) > 1 and config["reference"].get("alpha") != 1.0
    own, how = size.weights, f"{size.parameters:,} x {size.bytes_per_parameter}"
    shape = size.architecture
    if has_steps(config) and mixed_precision(config) and not rank and not sharing.casts and shape:
        embeddings = shape.vocabulary * shape.hidden
        own, how = own + 2 * embeddings, f"{how} + {embeddings:,} x 2, embeddings in fp32 as the policy's"
    start = "start" if soup else "reference and start"
    rows = [Held("reference", own, how=f"a soup of its own: {how}")] if soup else []
    if rank and has_steps(config):
        return [*rows, Held(start, 0, how="the policy without its adapters")]
    return [*rows, Held(start, own, how=how)]


def _judges(config: Mapping[str, Any], size: ModelSize) -> list[Held]:
    reward, rank = reward_size(config["model"], size), config["model"].get("lora_rank") or 0
    members, gold, given = members_of(config), trains_gold(config), config["world"].get("gold")
    rows = _on_one_base(config, reward, rank, members, gold) if rank else _whole(config, reward, members, gold)
    if given:
        own = known_size({**config["model"], "path": given, "revision": None}) or reward
        rows.append(Held("gold reward model", own.weights, how=f"world.gold: {own.parameters:,}"))
    return rows


def _whole(config: Mapping[str, Any], reward: ModelSize, members: int, gold: bool) -> list[Held]:
    rows = []
    each = f"{reward.parameters:,} x {reward.bytes_per_parameter}"
    if kind(config, "reward") == "warm":
        rows.append(Held("reward model", reward.weights, how=f"the members' mean: {each}"))
        if sharing_of(config).on_cpu:
            rows.append(Held("its members", members * reward.weights, how=f"{members} x {each}, for measurements"))
        else:
            rows.append(Held("a member of the mean", reward.weights, ("scoring",), how="one at a time, at evaluations"))
    elif members:
        own, how = members, f"{members} x {each}"
        if (chosen := placement_of(config)).placed:
            own, how = chosen.own, f"{chosen.own} of {members} x {each}, compute.place_members"
        rows.append(Held("reward models", own * reward.weights, how=how))
    if gold:
        rows.append(Held("gold reward model", reward.weights, how=each))
    return rows


def _on_one_base(config: Mapping[str, Any], reward: ModelSize, rank: int, members: int, gold: bool) -> list[Held]:
    """Adapters and heads in fp32 on the frozen trunk that they share, one for each trunk that members start from."""
    if not members and not gold:
        return []
    bases, lent = bases_of(config, members), lends(config)
    adapters = members + gold + (members if kind(config, "reward") == "warm" else 0)
    each = reward.adapters(rank) + (reward.architecture.hidden if reward.architecture else 0)
    of = f"{members} members" + (", their mean of as many ranks" if kind(config, "reward") == "warm" else "")
    own = bases - lent
    each_base = f"{reward.parameters:,} x {reward.bytes_per_parameter}, frozen"
    how = "the policy's own frozen weights" if not own else f"{own} x {each_base}" if own > 1 else each_base
    return [
        Held("base of the reward models", own * reward.weights, how=how),
        Held(
            "their adapters", adapters * each * 4, how=f"{of}{' and gold' if gold else ''}: {adapters} x {each:,} x 4"
        ),
    ]


def bases_of(config: Mapping[str, Any], members: int) -> int:
    """Different trunks under adapters: the last SFT weights, and the snapshots or runs that members start from in turn. Gold
    starts from the last weights of SFT policy 0, as member 0 does."""
    trunks = config["reward_model"].get("trunks", "last")
    if trunks == "last" or config["model"].get("reward_path") or not members:
        return 1
    return min(int(config["reward_model"]["num_trunks"]), members)


def lends(config: Mapping[str, Any]) -> bool:
    """Whether a policy with adapters lends its frozen weights, those of SFT policy 0, to reward models and to its critic: it
    has them whole."""
    whole = "weights" not in sharing_of(config).spread
    return (
        whole
        and has_steps(config)
        and bool(config["model"].get("lora_rank"))
        and not config["model"].get("reward_path")
    )


def members_of(config: Mapping[str, Any]) -> int:
    """Reward models that the proxy is made of."""
    return config["reward"].get("num_members", 1) if has_members(config) else 0


def trains_gold(config: Mapping[str, Any]) -> bool:
    """Whether the gold judge is a reward model that is trained."""
    return kind(config, "world") == "preferences" and not config["world"].get("gold")


def reward_size(model: Mapping[str, Any], size: ModelSize) -> ModelSize:
    """Of a reward model: on the trunk that the model names, or on the policy's where it names none, or nothing tells."""
    other = model.get("reward_path")
    found = known_size({**model, "path": other, "revision": model.get("reward_revision")}) if other else None
    return (found or size).as_reward_model()
