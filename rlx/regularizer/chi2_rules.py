"""chi2 is a poor target."""

from rlx.core.rules import Config


def chi2_is_no_target(config: Config) -> str | None:
    if config["regularizer"]["target"] is None:
        return None
    return (
        "regularizer.target with chi2 steers beta by an estimate that one completion can decide; "
        "compare several fixed values of regularizer.beta instead"
    )


ADVICE = (chi2_is_no_target,)
