"""What no single setting shows: combinations that cannot work, each with the reason. A rule says None or one line."""

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]


def broken_rule(config: Config) -> str | None:
    """The first combination that cannot work, or None."""
    return next((line for rule in RULES if (line := rule(config)) is not None), None)


def kind(config: Config, group: str, folder: str | None = None) -> str:
    """The choice behind a preset: "lab" for rlx.world.lab.Lab, whatever the YAML was called. `folder`: where the choices
    of a slot lie."""
    module = str((config.get(group) or {}).get("_target_", "")).rpartition(".")[0]
    return module.removeprefix(f"rlx.{folder or group}.")


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
    if processes is None or prompts % share == 0 or kind(config, "optimizer") == "bon":
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


def engines_share_processes(config: Config) -> str | None:
    """vLLM beside the policy: as many processes as hold a part of one engine."""
    sampler, processes = config["sampler"], config["compute"].get("num_processes") or 1
    each = sampler.get("tensor_parallel_size") or 1
    if sampler.get("mode") != "colocate" or processes % each == 0:
        return None
    return (
        f"sampler.tensor_parallel_size={each}: so many processes share one vLLM, and compute.num_processes={processes} is "
        f"no multiple of it; choose a compute with compute.num_processes={-(-processes // each) * each}"
    )


def the_lab_model_speaks_the_labs_language(config: Config) -> str | None:
    if kind(config, "model") != "lab" or kind(config, "world") != "preferences":
        return None
    return (
        "model=lab knows the few hundred words of world=lab and cannot read real text: "
        "choose model=pretrained model.path=<Hub id or directory>"
    )


def preferences_are_given(config: Config) -> str | None:
    if kind(config, "world") != "preferences" or config["world"].get("path"):
        return None
    return "world=preferences needs world.path=<file, folder or dataset on the Hub>"


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


def best_of_n_chooses(config: Config) -> str | None:
    samples = config["optimizer"].get("num_samples")
    if kind(config, "optimizer") != "bon" or samples is None or samples > 1:
        return None
    return f"optimizer.num_samples={samples}: the best of 1 is the policy itself; draw at least 2"


def best_of_n_has_no_steps_to_choose_from(config: Config) -> str | None:
    kept = config["checkpoint"]["keep_best"]
    if kind(config, "optimizer") != "bon" or kept is None:
        return None
    return f"checkpoint.keep_best={kept}: optimizer=bon has no steps to choose from; set checkpoint.keep_best=null"


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


def best_of_n_has_no_steps_to_steer_beta_over(config: Config) -> str | None:
    target = config["regularizer"].get("target")
    if kind(config, "optimizer") != "bon" or target is None:
        return None
    return (
        f"regularizer.target={target}: optimizer=bon has no steps over which beta could be steered to it; "
        "set regularizer.target=null and regularizer.beta"
    )


def an_evaluation_happens(config: Config) -> str | None:
    interval, steps = config["evaluation"]["interval"], config["num_steps"]
    if interval <= steps or kind(config, "optimizer") == "bon":
        return None
    return f"evaluation.interval={interval} is more than num_steps={steps}: nothing would be measured along training"


def warmup_is_shorter_than_training(config: Config) -> str | None:
    optimizer, warmup = config["optimizer"], config["torch_optimizer"]["warmup_steps"]
    epochs = optimizer.get("num_epochs", 1)
    steps = config["num_steps"] * epochs * (optimizer.get("num_minibatches") or 1)
    if warmup == 0 or kind(config, "optimizer") == "bon" or warmup < steps:
        return None
    return (
        f"torch_optimizer.warmup_steps={warmup}: the whole training has {steps} steps; the full rate is never reached"
    )


def inpo_makes_pairs(config: Config) -> str | None:
    optimizer = config["optimizer"]
    drawn, pairing = optimizer.get("num_samples"), optimizer.get("pairing")
    if kind(config, "optimizer") != "inpo" or drawn is None:
        return None
    if drawn < 2:
        return f"optimizer.num_samples={drawn}: inpo learns from pairs of completions; draw at least 2"
    if pairing == "tournament" and drawn & (drawn - 1):
        return (
            f"optimizer.num_samples={drawn}: a tournament halves its entrants round by round; choose a power of two, "
            f"{1 << drawn.bit_length() - 1} or {1 << drawn.bit_length()}, or optimizer.pairing=best_worst"
        )
    return None


def inpo_steps_no_further_than_its_game(config: Config) -> str | None:
    """tau / eta and 1 - tau / eta weigh reference and previous policy: neither can be negative."""
    beta, eta = config["regularizer"].get("beta"), config["optimizer"].get("eta")
    if kind(config, "optimizer") != "inpo" or beta is None or eta is None:
        return None
    if beta > eta:
        return (
            f"regularizer.beta={beta:g} is more than optimizer.eta={eta:g}: inpo weighs the previous policy by "
            f"1 - beta / eta, which would be negative; set optimizer.eta={beta:g} or more"
        )
    if (target := config["regularizer"].get("target")) is not None:
        return (
            f"regularizer.target={target}: inpo approaches the equilibrium of one game, and a beta that is steered would "
            "change the game under it; set regularizer.target=null and regularizer.beta"
        )
    return None


def preferences_have_a_model(config: Config) -> str | None:
    if config["optimizer"].get("oracle") != "preference" or kind(config, "world") != "preferences":
        return None
    return (
        "optimizer.oracle=preference: world=preferences has pairs but no preference model to ask for new ones; "
        "use optimizer.oracle=reward, or a world with a preference_model()"
    )


RULES: tuple[Callable[[Config], str | None], ...] = (
    minibatches_are_equal,
    processes_share_prompts,
    batches_are_shared,
    nodes_have_equal_processes,
    engines_share_processes,
    the_lab_model_speaks_the_labs_language,
    preferences_are_given,
    completions_fit,
    slots_hold_their_own,
    labels_say_something,
    best_of_n_chooses,
    best_of_n_has_no_steps_to_choose_from,
    the_best_is_chosen_on_some_prompts_and_measured_on_others,
    best_of_n_has_no_steps_to_steer_beta_over,
    inpo_makes_pairs,
    inpo_steps_no_further_than_its_game,
    preferences_have_a_model,
    an_evaluation_happens,
    warmup_is_shorter_than_training,
)
