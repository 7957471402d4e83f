"""DPO makes pairs, and its implicit reward is beta times a log-ratio."""

from rlx.core.rules import Config, kind


def dpo_makes_pairs(config: Config) -> str | None:
    drawn, pairing = config["optimizer"]["num_samples"], config["optimizer"]["pairing"]
    if drawn < 2:
        return f"optimizer.num_samples={drawn}: dpo learns from pairs of completions; draw at least 2"
    if pairing == "tournament" and drawn & (drawn - 1):
        return (
            f"optimizer.num_samples={drawn}: a tournament halves its entrants round by round; choose a power of two, "
            f"{1 << drawn.bit_length() - 1} or {1 << drawn.bit_length()}, or optimizer.pairing=best_worst"
        )
    return None


def dpo_needs_a_beta(config: Config) -> str | None:
    if config["regularizer"].get("beta") != 0:
        return None
    return "regularizer.beta=0: dpo's loss is of beta times a log-ratio and would be constant; set regularizer.beta above 0"


def the_world_has_the_preferences_to_ask(config: Config) -> str | None:
    if config["optimizer"]["oracle"] != "preference" or kind(config, "world") != "preferences":
        return None
    return (
        "optimizer.oracle=preference: world=preferences has pairs but no preference model to ask for new ones; "
        "use optimizer.oracle=reward, or a world with a preference_model()"
    )


RULES = (dpo_makes_pairs, dpo_needs_a_beta, the_world_has_the_preferences_to_ask)
