"""Best-of-n chooses among completions, and has no steps."""

from rlx.core.rules import Config


def best_of_n_chooses(config: Config) -> str | None:
    samples = config["optimizer"]["num_samples"]
    if samples > 1:
        return None
    return f"optimizer.num_samples={samples}: the best of 1 is the policy itself; draw at least 2"


def best_of_n_has_no_steps_to_choose_from(config: Config) -> str | None:
    kept = config["checkpoint"]["keep_best"]
    if kept is None:
        return None
    return f"checkpoint.keep_best={kept}: optimizer=bon has no steps to choose from; set checkpoint.keep_best=null"


def best_of_n_has_no_steps_to_steer_beta_over(config: Config) -> str | None:
    target = config["regularizer"].get("target")
    if target is None:
        return None
    return (
        f"regularizer.target={target}: optimizer=bon has no steps over which beta could be steered to it; "
        "set regularizer.target=null and regularizer.beta"
    )


RULES = (
    best_of_n_chooses,
    best_of_n_has_no_steps_to_choose_from,
    best_of_n_has_no_steps_to_steer_beta_over,
)
