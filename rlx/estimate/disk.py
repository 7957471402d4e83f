"""What a cell's artefacts and its run directory take on disk, at most."""

import math
from collections.abc import Mapping
from typing import Any

from rlx.core.rules import has_steps
from rlx.estimate.frozen import members_of, reward_size, trains_gold
from rlx.estimate.learner import trunks_of
from rlx.estimate.sharing import mixed_precision, sharing_of
from rlx.estimate.size import ModelSize


def disk_bytes(config: Mapping[str, Any], size: ModelSize) -> tuple[int, int]:
    """Upper bounds of what a cell's artefacts and its run directory hold. While a checkpoint is written, those to be kept
    are still there; with DeepSpeed it holds masters and moments beside the weights."""
    policies, judges = config["reference"].get("num_policies", 1), members_of(config) + trains_gold(config)
    rank = config["model"].get("lora_rank") or 0
    artefacts = policies * size.weights + judges * reward_model_bytes(config, size) + training_bytes(config, size)
    if not has_steps(config):
        return artefacts, size.weights
    trained = size.adapters(rank) if rank else size.parameters
    checkpoint = _checkpoint(config, math.ceil(trunks_of(config, size) * trained))
    # At the last checkpoint, the newest, and one in writing.
    best = 3 * 4 * trained if config["checkpoint"]["keep_best"] else 0
    return artefacts, size.weights + (config["checkpoint"]["keep"] + 1) * checkpoint + best


def reward_model_bytes(config: Mapping[str, Any], size: ModelSize) -> int:
    """Of one reward model: its weights, or its adapter in fp32, which names the base that it is on."""
    reward, rank = reward_size(config["model"], size), config["model"].get("lora_rank") or 0
    return 4 * reward.adapters(rank) if rank else reward.weights


def training_bytes(config: Mapping[str, Any], size: ModelSize) -> int:
    """What the checkpoints of one artefact in training hold: the newest, and the one before until it is whole."""
    rank = config["model"].get("lora_rank") or 0
    models = (size, reward_size(config["model"], size))
    return 2 * _checkpoint(config, max(model.adapters(rank) if rank else model.parameters for model in models))


def _checkpoint(config: Mapping[str, Any], trained: int) -> int:
    """Bytes of one, of that many parameters."""
    sharing = sharing_of(config)
    if sharing.deepspeed:  # the weights twice: in its own files, and put together
        return trained * (2 * (2 if mixed_precision(config) else 4) + 4 + 8)
    return trained * (4 + 8)
