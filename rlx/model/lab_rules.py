"""The lab's model reads the lab's language."""

from rlx.core.rules import Config, kind


def the_lab_model_reads_the_labs_language(config: Config) -> str | None:
    if kind(config, "world") != "preferences":
        return None
    return (
        "model=lab knows the few hundred words of world=lab and cannot read real text: "
        "choose model=pretrained model.path=<Hub id or directory>"
    )


RULES = (the_lab_model_reads_the_labs_language,)
