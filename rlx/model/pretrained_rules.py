"""A pretrained model takes more completions than a run in the lab."""

from rlx.core.rules import Config, has_steps


def takes_more_than_a_lab_run(config: Config) -> str | None:
    completions = config["num_steps"] * config["num_prompts"] * config["optimizer"].get("num_samples", 1)
    if not has_steps(config) or completions >= 20_000:
        return None
    return (
        f"num_steps={config['num_steps']} and num_prompts={config['num_prompts']} are {completions:,} completions, the size of "
        "a run in the lab; publications take 100,000 and more for a pretrained model: scale=research"
    )


ADVICE = (takes_more_than_a_lab_run,)
