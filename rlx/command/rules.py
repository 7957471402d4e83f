"""Combinations of settings that cannot work, whatever was chosen, each with the reason: None or one line.

The rules of one choice stand beside it (rlx/core/rules.py).
"""

from rlx.core.rules import Config, Rule, has_members, has_steps, kind, rules_of


def broken_rule(config: Config) -> str | None:
    """The first combination that cannot work, or None."""
    return next((line for rule in (*RULES, *rules_of(config)) if (line := rule(config)) is not None), None)


def minibatches_are_equal(config: Config) -> str | None:
    number, prompts = config["optimizer"].get("num_minibatches"), config["num_prompts"]
    if number is None or prompts % number == 0:
        return None
    return (
        f"num_prompts={prompts} cannot be split into optimizer.num_minibatches={number} equal minibatches: "
        f"choose num_prompts={-(-prompts // number) * number}"
    )


def processes_share_prompts(config: Config) -> str | None:
    processes, prompts = config["compute"].get("num_processes"), config["num_prompts"]
    share = (processes or 1) * (config["optimizer"].get("num_minibatches") or 1)
    if processes is None or prompts % share == 0 or not has_steps(config):
        return None
    return (
        f"num_prompts={prompts} cannot be shared by compute.num_processes={processes} in equal minibatches: "
        f"choose a multiple of {share}"
    )


def batches_are_shared(config: Config) -> str | None:
    """Of the supervised stages: rows per update, over all processes."""
    processes = config["compute"].get("num_processes") or 1
    for slot in ("sft", "reward_model"):
        batch, micro = config[slot].get("batch_size"), config[slot].get("micro_batch_size")
        if batch is None:
            continue
        if batch % (processes * (micro or 1)):
            each = f" in parts of {slot}.micro_batch_size={micro}" if micro else ""
            return (
                f"{slot}.batch_size={batch} is for all processes together and cannot be shared by "
                f"compute.num_processes={processes}{each}: choose a multiple of {processes * (micro or 1)}"
            )
    return None


def nodes_have_equal_processes(config: Config) -> str | None:
    processes, nodes = config["compute"].get("num_processes"), config["compute"].get("num_nodes")
    if processes is None or nodes is None or processes % nodes == 0:
        return None
    return (
        f"compute.num_processes={processes} counts all nodes and is no multiple of compute.num_nodes={nodes}: choose "
        f"{-(-processes // nodes) * nodes}"
    )


def completions_fit(config: Config) -> str | None:
    drawn, longest = config["sampler"].get("max_new_tokens"), config["world"].get("max_completion_tokens")
    if drawn is None or longest is None or drawn <= longest:
        return None
    return (
        f"sampler.max_new_tokens={drawn} is more than world.max_completion_tokens={longest}, the longest completion "
        "that the reward models are trained on"
    )


def slots_hold_their_own(config: Config) -> str | None:
    """supervised@sft=reward_model would compose: the slots draw from one folder."""
    for slot, other in (("sft", "reward_model"), ("reward_model", "sft")):
        if kind(config, slot, "supervised") == other:
            choice = config["choices"].get(slot, other)
            return f"supervised@{slot}={choice}: {choice} belongs into the slot supervised@{other}"
    return None


def labels_say_something(config: Config) -> str | None:
    noise = config["world"].get("label_noise")
    if noise is None or noise < 0.5:
        return None
    return f"world.label_noise={noise}: at 0.5 labels say nothing and above it they say the opposite; choose less"


def there_are_reward_models_to_clean_for(config: Config) -> str | None:
    cleaner, reward = config["choices"].get("cleaner"), config["choices"].get("reward")
    if kind(config, "cleaner") == "none" or has_members(config):
        return None
    return f"cleaner={cleaner} weighs the pairs of reward models, and reward={reward} has none: use cleaner=none"


def the_best_is_chosen_on_some_prompts_and_measured_on_others(config: Config) -> str | None:
    kept, evaluation = config["checkpoint"]["keep_best"], config["evaluation"]
    along, final = evaluation["num_prompts"], evaluation["final_num_prompts"]
    if kept is None:
        return None
    if along < 4:
        return (
            f"evaluation.num_prompts={along}: checkpoint.keep_best={kept} chooses on one half of them and reports on the "
            "other; take at least 4"
        )
    if final < along:
        return (
            f"evaluation.final_num_prompts={final} is less than evaluation.num_prompts={along}, and checkpoint.keep_best="
            f"{kept} leaves the half that chose out of it; take at least {along}"
        )
    return None


def an_evaluation_happens(config: Config) -> str | None:
    interval, steps = config["evaluation"]["interval"], config["num_steps"]
    if interval <= steps or not has_steps(config):
        return None
    return f"evaluation.interval={interval} is more than num_steps={steps}: nothing would be measured along training"


def warmup_is_shorter_than_training(config: Config) -> str | None:
    optimizer, warmup = config["optimizer"], config["torch_optimizer"]["warmup_steps"]
    epochs = optimizer.get("num_epochs", 1)
    steps = config["num_steps"] * epochs * (optimizer.get("num_minibatches") or 1)
    if warmup == 0 or not has_steps(config) or warmup < steps:
        return None
    return (
        f"torch_optimizer.warmup_steps={warmup}: the whole training has {steps} steps; the full rate is never reached"
    )


RULES: tuple[Rule, ...] = (
    minibatches_are_equal,
    processes_share_prompts,
    batches_are_shared,
    nodes_have_equal_processes,
    completions_fit,
    slots_hold_their_own,
    labels_say_something,
    there_are_reward_models_to_clean_for,
    the_best_is_chosen_on_some_prompts_and_measured_on_others,
    an_evaluation_happens,
    warmup_is_shorter_than_training,
)
