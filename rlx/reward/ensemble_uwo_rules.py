"""The variance between members needs more of them than it takes degrees of freedom."""

from rlx.core.rules import Config


def there_is_a_variance(config: Config) -> str | None:
    members, ddof = config["reward"]["num_members"], config["reward"]["ddof"]
    if members > ddof:
        return None
    return f"reward.ddof={ddof} with reward.num_members={members}: no variance; use reward.ddof=0"


RULES = (there_is_a_variance,)
