"""INPO makes pairs, and its two weights come from beta and eta."""

from rlx.core.rules import Config, kind


def inpo_makes_pairs(config: Config) -> str | None:
    optimizer = config["optimizer"]
    drawn, pairing = optimizer["num_samples"], optimizer["pairing"]
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
    beta, eta = config["regularizer"].get("beta"), config["optimizer"]["eta"]
    if beta is not None and beta > eta:
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


def the_world_has_the_preferences_to_ask(config: Config) -> str | None:
    if config["optimizer"]["oracle"] != "preference" or kind(config, "world") != "preferences":
        return None
    return (
        "optimizer.oracle=preference: world=preferences has pairs but no preference model to ask for new ones; "
        "use optimizer.oracle=reward, or a world with a preference_model()"
    )


RULES = (
    inpo_makes_pairs,
    inpo_steps_no_further_than_its_game,
    the_world_has_the_preferences_to_ask,
)
