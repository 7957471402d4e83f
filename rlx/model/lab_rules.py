"""The lab's models read the lab's language."""

from rlx.core.rules import Config, kind


def the_lab_model_reads_the_labs_language(config: Config) -> str | None:
    if kind(config, "world") != "preferences":
        return None
    return (
        f"model={config['choices']['model']} knows the few hundred words of world=lab and cannot read real text: "
        "choose model=pretrained model.path=<Hub id or directory>"
    )


RULES = (the_lab_model_reads_the_labs_language,)
