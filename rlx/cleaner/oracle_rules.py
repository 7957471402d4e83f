"""An oracle needs flips that it can know of."""

from rlx.core.rules import Config


def there_are_flips(config: Config) -> str | None:
    if config["world"].get("label_noise") != 0:
        return None
    return "cleaner=oracle drops the pairs that world.label_noise flipped, and world.label_noise is 0: set it, or cleaner=none"


RULES = (there_are_flips,)
