"""What a measurement with experts takes: the models in memory, their caches, the completions to draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlx.estimate.size import ModelSize, known_size
from rlx.run.state import load_config


@dataclass(frozen=True)
class Loaded:
    """One model of the measurement. `cache`: bytes of keys and values while sampler.batch_size rows are drawn; None where
    the model's config is not at hand."""

    what: str
    size: ModelSize | None
    cache: int | None


def loaded(config: Mapping[str, Any], decoder: Mapping[str, Any]) -> list[Loaded]:
    """The models: the policy itself, then each expert with its base. Experts that share a base are counted with one each,
    which is the most that they take."""
    own = known_size(config["model"])
    found = [Loaded("policy", own, _cache(config, own))]
    for word in decoder.get("experts", ()):
        size = known_size(load_config(Path(word) / "config.yaml")["model"])
        found += [Loaded(f"{Path(word).name}, {which}", size, _cache(config, size)) for which in ("expert", "its base")]
    return found


def completions(config: Mapping[str, Any]) -> int:
    """Held-out completions that one measurement draws of the decoded policy; those of the start come on top."""
    return int(config["evaluation"]["final_num_prompts"])


def _cache(config: Mapping[str, Any], size: ModelSize | None) -> int | None:
    if size is None or size.architecture is None:
        return None
    tokens = config["world"]["max_prompt_tokens"] + config["sampler"]["max_new_tokens"]
    rows = min(int(config["sampler"]["batch_size"]), completions(config))
    return rows * tokens * size.architecture.cached_per_token * size.bytes_per_parameter
