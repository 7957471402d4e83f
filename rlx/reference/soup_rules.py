"""A weight for the other policies needs other policies."""

from rlx.core.rules import Config


def there_are_policies_to_weigh(config: Config) -> str | None:
    number, alpha = config["reference"]["num_policies"], config["reference"]["alpha"]
    if number > 1 or alpha in (None, 1.0):
        return None
    return f"reference.alpha={alpha} with reference.num_policies=1: there is no other policy; use 2 or more"


RULES = (there_are_policies_to_weigh,)
