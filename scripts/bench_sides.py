"""Who is timed on a work of the benchmark: rlx's PPO, TRL 1.12's PPO, and RLOO and GRPO of the TRL that rlx is built on.

Each returns (CPU seconds, wall seconds) of every rollout of 64 completions with its 16 updates, after one that is not timed.
"""

import itertools
import sys
import tempfile
import time
from typing import Any

from bench_work import EPOCHS, MINIBATCHES, PROMPTS, Work

SIDES = ("trl-1.12-ppo", "rlx-shared", "rlx-half", "rlx-separate", "trl-rloo", "trl-grpo")
Times = list[tuple[float, float]]


class Ends:
    """Clocks at the end of every `each`-th step."""

    def __init__(self, each: int = 1) -> None:
        self.each, self.steps, self.read = each, 0, []

    def tick(self) -> None:
        self.steps += 1
        if self.steps % self.each == 0:
            self.read.append((time.process_time(), time.perf_counter()))

    def callback(self) -> Any:
        from transformers import TrainerCallback

        side = self

        class Clock(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                side.tick()

        return Clock()

    def between(self) -> Times:
        return [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(self.read)]


def quiet() -> dict[str, Any]:
    """Arguments of a Trainer that computes and does nothing else."""
    return {
        "output_dir": tempfile.mkdtemp(), "learning_rate": 1e-4, "use_cpu": True, "bf16": False, "report_to": [],
        "logging_strategy": "no", "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip


def time_side(side: str, work: Work, folder: str, rollouts: int) -> Times:
    if side == "trl-1.12-ppo":
        return time_trl_ppo(folder, work, rollouts)
    return time_rlx(side[4:], work, rollouts) if side.startswith("rlx") else time_trl(side[4:], work, rollouts)


def time_rlx(critic: Any, work: Work, rollouts: int) -> Times:
    import torch
    from transformers import TrainingArguments

    from rlx.core.settings import ProxySettings
    from rlx.core.world import Prompt
    from rlx.engine.experience import RolloutModels
    from rlx.engine.forward import inputs_of
    from rlx.engine.prompts import EncodedPrompts
    from rlx.engine.proxy import Proxy
    from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
    from rlx.model.actor_critic import with_critic
    from rlx.optimizer.ppo import PPO
    from rlx.regularizer.kl import KL
    from rlx.sampler.transformers import Transformers

    policy, reference, reward, _ = work.models

    class Reward:
        raw_std = 1.0

        @torch.no_grad()
        def member_scores(self, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT):
            return reward.eval()(**inputs_of(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT)).logits.T

        def aggregate(self, member_scores_MB):
            return member_scores_MB[0]

    ends = Ends()
    more = {"num_train_epochs": rollouts + 1, "remove_unused_columns": False, "ignore_data_skip": True}
    ppo = PPO(
        num_samples=1, num_epochs=EPOCHS, num_minibatches=MINIBATCHES, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
        value_coefficient=0.1, entropy_coefficient=0.0, critic=critic, whiten_rewards=False,
    )  # fmt: skip
    proxy = Proxy(Reward(), ProxySettings(clip=None, missing_eos_penalty=0.0))
    sampler = Transformers(work.new_tokens, 1.0, PROMPTS)
    trainer = OnPolicyTrainer(
        with_critic(policy, critic),
        TrainingArguments(**quiet(), **more),
        ppo,
        KL(beta=0.05, target=None, horizon=10000),
        RolloutModels(with_critic(reference, "none"), proxy, sampler, PROMPTS, None, None),
        EncodedPrompts([Prompt(str(i), "") for i in range(len(work.ids))], work.ids, work.tokenizer.pad_token_id, 0),
        TrainingPlan(rollouts + 1, PROMPTS, 1, rollouts + 2, 0),
        lambda step, row: ends.tick(),
    )
    trainer.train()
    return ends.between()


def time_trl_ppo(folder: str, work: Work, rollouts: int) -> Times:
    sys.path.insert(0, folder)
    from datasets import Dataset
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    policy, reference, reward, value = work.models
    ends = Ends()
    args = PPOConfig(
        **quiet(), per_device_train_batch_size=PROMPTS // MINIBATCHES, num_mini_batches=MINIBATCHES,
        gradient_accumulation_steps=MINIBATCHES, num_ppo_epochs=EPOCHS, total_episodes=PROMPTS * (rollouts + 1),
        response_length=work.new_tokens, local_rollout_forward_batch_size=PROMPTS, num_sample_generations=0,
        gradient_checkpointing=False, temperature=1.0, missing_eos_penalty=None,
        stop_token="eos" if work.ends else None,
    )  # fmt: skip
    # With the documented setting above it would make 4 updates a rollout, not 16: `accumulate` counts the minibatches.
    args.gradient_accumulation_steps, args.per_device_train_batch_size = 1, PROMPTS
    data = Dataset.from_dict({"input_ids": work.ids})
    work.tokenizer.padding_side = "left"
    callbacks = [ends.callback()]
    trainer = PPOTrainer(
        args, work.tokenizer, policy, reference, reward, data, value, eval_dataset=data, callbacks=callbacks
    )
    updates = counted(trainer.optimizer.optimizer)
    trainer.train()
    assert updates[0] == EPOCHS * MINIBATCHES * (rollouts + 1), f"TRL made {updates[0]} updates"
    return ends.between()


def time_trl(name: str, work: Work, rollouts: int) -> Times:
    """RLOO or GRPO: 4 completions of each of 16 prompts and no critic at all; the KL penalty is against its own start."""
    import trl
    from datasets import Dataset

    policy, _, reward, _ = work.models
    ends, each = Ends(EPOCHS * MINIBATCHES), PROMPTS // MINIBATCHES
    args = getattr(trl, f"{name.upper()}Config")(
        **quiet(), per_device_train_batch_size=each, steps_per_generation=MINIBATCHES, num_iterations=EPOCHS,
        num_generations=4, gradient_accumulation_steps=1, max_completion_length=work.new_tokens, beta=0.05,
        temperature=1.0, gradient_checkpointing=False, max_steps=EPOCHS * MINIBATCHES * (rollouts + 1),
    )  # fmt: skip
    data = Dataset.from_dict({"prompt": work.texts})
    trainer = getattr(trl, f"{name.upper()}Trainer")(
        policy, reward, args, data, processing_class=work.tokenizer, reward_processing_classes=work.tokenizer,
        callbacks=[ends.callback()],
    )  # fmt: skip
    trainer.train()
    return ends.between()


def counted(optimizer: Any) -> list[int]:
    """Count the steps of `optimizer` from now on."""
    updates, original = [0], optimizer.step
    optimizer.step = lambda *a, **k: (updates.__setitem__(0, updates[0] + 1), original(*a, **k))[1]
    return updates
