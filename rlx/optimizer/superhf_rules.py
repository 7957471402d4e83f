"""SuperHF keeps some of what it draws."""

from rlx.core.rules import Config


def keeps_at_most_what_is_drawn(config: Config) -> str | None:
    kept, drawn = config["optimizer"]["num_kept"], config["optimizer"]["num_samples"]
    if kept <= drawn:
        return None
    return f"optimizer.num_kept={kept} is more than optimizer.num_samples={drawn}: keep at most what is drawn"


RULES = (keeps_at_most_what_is_drawn,)
