"""What compute=zero3 cannot be combined with."""

from rlx.core.rules import Config


def weights_in_parts_are_not_compiled(config: Config) -> str | None:
    if not config["compute"].get("compile"):
        return None
    return "compute.compile=true: zero3 puts weights together within the passes, which cannot be compiled; take ddp, zero1 or zero2"


RULES = (weights_in_parts_are_not_compiled,)
