"""The top-level numbers of a run: everything in `conf/train.yaml` that is not the choice of a group."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from rlx.core.error import UserError
from rlx.core.numbers import Decay, NonNegative, NonNegativeInt, Positive, PositiveInt


@dataclass(frozen=True)
class EvaluationSettings:
    interval: PositiveInt  # rollouts between two measurements on held-out prompts
    num_prompts: PositiveInt  # held-out prompts along training
    final_num_prompts: PositiveInt  # held-out prompts at the end
    num_samples: PositiveInt  # of the prompts along training, those whose completions are kept for people to read


@dataclass(frozen=True)
class CheckpointSettings:
    interval: PositiveInt  # rollouts between two checkpoints
    keep: PositiveInt  # newest checkpoints kept on disk
    minutes: NonNegative  # between two checkpoints of an artefact in training
    keep_best: Literal["gold"] | None  # what chooses the step whose policy is exported; None exports the last one


@dataclass(frozen=True)
class ProxySettings:
    """What is done to the proxy's score before it is optimised."""

    clip: Positive | None  # SD; null = never
    missing_eos_penalty: NonNegative  # SD


@dataclass(frozen=True)
class TorchOptimizerSettings:
    """AdamW on the policy and its critic."""

    learning_rate: Positive
    adam_beta1: Decay
    adam_beta2: Decay
    adam_epsilon: Positive
    weight_decay: NonNegative
    max_grad_norm: Positive
    schedule: Literal["constant", "linear", "cosine"]
    warmup_steps: NonNegativeInt  # steps of the torch optimiser, not rollouts


@dataclass(frozen=True)
class SweepSettings:
    """How the cells of one command are run; no property of a run, so that no config.yaml has it."""

    num_parallel: PositiveInt | None  # cells at once; null = as many as cores allow
    fail_fast: bool  # end at the first cell that fails


@dataclass(frozen=True)
class SlurmSettings:
    """What `rlx submit` asks a cluster for; no property of a run, so that no config.yaml has it. null: the cluster's own."""

    partition: str | None
    time: PositiveInt | str | None  # minutes, or as Slurm writes it: hours:minutes:seconds, days-hours
    account: str | None
    qos: str | None
    gpus: NonNegativeInt | None  # a node; null = one a process where compute has processes, 0 = none are asked for
    mem: PositiveInt | str | None  # a node; MB, or with a unit
    cpus_per_task: PositiveInt | None  # a node; null = one for each thread of torch
    signal_before: PositiveInt  # s
    max_requeues: NonNegativeInt
    extra: list[str]  # options of sbatch


@dataclass(frozen=True)
class PlanSettings:
    """What `rlx plan` counts for; no property of a run, so that no config.yaml has it."""

    device: Literal["a100_40gb", "a100_80gb", "h100", "h200", "l40s", "a6000", "rtx4090"] | None  # null: this machine's


@dataclass(frozen=True)
class Settings:
    name: str | None  # names the run directory instead of its content
    seed: NonNegativeInt  # rollouts and policy training
    data_seed: NonNegativeInt  # the instance of data, pairs, label noise and members
    num_steps: PositiveInt  # rollouts
    num_prompts: PositiveInt  # prompts per rollout, over all processes
    proxy: ProxySettings
    evaluation: EvaluationSettings
    checkpoint: CheckpointSettings
    torch_optimizer: TorchOptimizerSettings
    cache_dir: str
    runs_dir: str


def settings_of(config: Mapping[str, Any]) -> Settings:
    """The top-level numbers of a checked `config`; its groups (world, model, ...) are left aside.

    Raises UserError where one is missing, as in the config of a run that an older version made.
    """
    for name in Settings.__dataclass_fields__:
        if name not in config:
            raise UserError(
                f"{name} is missing in the config of this run; an older version wrote it, run the cell again"
            )
    own = {name: config[name] for name in Settings.__dataclass_fields__}
    return _adapter().validate_python(own)


@cache
def _adapter() -> TypeAdapter[Settings]:
    return TypeAdapter(Settings)
