"""What a pretrained model cannot be combined with, and what it takes."""

from rlx.core.rules import Config, has_steps, kind


def takes_more_than_a_lab_run(config: Config) -> str | None:
    completions = config["num_steps"] * config["num_prompts"] * config["optimizer"].get("num_samples", 1)
    if not has_steps(config) or completions >= 20_000:
        return None
    return (
        f"num_steps={config['num_steps']} and num_prompts={config['num_prompts']} are {completions:,} completions, the size of "
        "a run in the lab; publications take 100,000 and more for a pretrained model: scale=research"
    )


def flash_attention_is_for_bfloat16_on_gpus(config: Config) -> str | None:
    name, dtype = str(config["model"].get("attn_implementation")), config["model"]["dtype"]
    if not name.startswith("flash_attention"):
        return None
    if dtype != "bfloat16":
        return f"model.attn_implementation={name} takes no model.dtype={dtype}: set model.dtype=bfloat16, or sdpa"
    if kind(config, "compute") == "cpu":
        return f"model.attn_implementation={name} is for GPUs: set compute=ddp on a machine that has one, or sdpa"
    return None


RULES = (flash_attention_is_for_bfloat16_on_gpus,)
ADVICE = (takes_more_than_a_lab_run,)
