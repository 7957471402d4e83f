"""draw -> score -> select -> learn -> log, for any policy optimiser: a transformers.Trainer whose epoch is one rollout.

Its "dataloader" makes a rollout when an epoch begins and yields the minibatches to learn from, so that checkpoints,
resuming, schedules, clipping and the distributed back ends are the Trainer's own. Several processes each draw and score
their share of a step's prompts; then all have the whole rollout, select alike, and learn from their shares of minibatches.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from trl.models.utils import unwrap_model_for_generation

from rlx.artefact import training_state
from rlx.core.error import UserError
from rlx.core.policy_optimizer import PolicyOptimizer
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, Selection
from rlx.core.seed import seed_of
from rlx.engine.experience import RolloutModels, concatenated, draw, score
from rlx.engine.forward import inputs_of, reference_logits
from rlx.engine.importance import measured
from rlx.engine.minibatch import minibatches
from rlx.engine.prompts import EncodedPrompts, indices_of_step
from rlx.model.actor_critic import is_of_critic, without_dropout
from rlx.model.bare import substituted_by
from rlx.model.precision import cast
from rlx.model.whole import blank_of, filled, is_spread, plain_copy, whole, whole_state
from rlx.process import processes


@dataclass(frozen=True)
class TrainingPlan:
    """How much is done: `num_steps` rollouts of `num_prompts` prompts over all processes, a checkpoint every
    `checkpoint_interval`. Each process learns from its share of a minibatch in `num_micro` parts. `layout` says how a
    checkpoint lies on disk: only the same layout can read it. `rows`: files that grow with each step; a checkpoint holds
    as long as they begin with what they held when it was saved."""

    num_steps: int
    num_prompts: int
    num_micro: int
    checkpoint_interval: int
    seed: int
    layout: str = "whole"
    rows: tuple[Path, ...] = ()


AfterStep = Callable[[int, dict[str, float]], None]


class OnPolicyTrainer(Trainer):
    """`after_step(step, row)` is called when a step's rollout has been learnt from, before it is checkpointed; `stopping()`
    after it: if it says so, the step is checkpointed and training ends there."""

    def __init__(
        self,
        policy: PreTrainedModel,
        args: TrainingArguments,
        algorithm: PolicyOptimizer,
        regularizer: Regularizer,
        actors: RolloutModels,
        prompts: EncodedPrompts,
        plan: TrainingPlan,
        after_step: AfterStep,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._blank: Any = blank_of(policy) if processes.grouped() else None  # a back end may take the model apart
        super().__init__(model=without_dropout(policy), args=args)
        self.remove_callback(PrinterCallback)
        self.algorithm, self.regularizer, self.actors = algorithm, regularizer, actors
        self.prompts, self.plan, self.after_step, self.stopping = prompts, plan, after_step, stopping
        self.beta = regularizer.beta
        self.updates_per_step = algorithm.num_epochs * algorithm.num_minibatches
        self.row: dict[str, float] = {}
        self.num_completions = 0  # of the last rollout
        self._sums: dict[str, Tensor] = {}
        self._taken: Any = None  # a whole policy that stands for one that is spread over processes
        self.add_callback(_StepBoundary(self))

    @property
    def step(self) -> int:
        """Rollouts that have been learnt from."""
        return self.state.global_step // self.updates_per_step

    @contextmanager
    def policy(self) -> Iterator[PreTrainedModel]:
        """The model as transformers made it, without a distributed wrapper and with all its weights in every process."""
        policy: Any = self.accelerator.unwrap_model(self.model)
        wrapped: Any = self.model_wrapped
        if not is_spread(policy):
            gathering: Any = nullcontext(policy)
        elif self._taken is not None:
            gathering = nullcontext(self._taken)
        elif hasattr(next(policy.parameters()), "ds_id"):
            gathering = unwrap_model_for_generation(wrapped, self.accelerator)
        else:  # FSDP's modules gather and let go as they please: a copy, for as long as it is needed
            copied = plain_copy(policy, self._blank)
            if self.args.bf16:  # as FSDP makes it while the policy learns
                cast(copied, torch.bfloat16)
            gathering = nullcontext(copied.to(self.args.device))
        with gathering as gathered, substituted_by(policy, gathered), self.accelerator.autocast():
            yield gathered

    def plain_policy(self) -> PreTrainedModel:
        """The model to be kept: itself, or where it is spread over processes a copy that is not."""
        policy: Any = self.accelerator.unwrap_model(self.model)
        if is_spread(policy):
            return self._taken or plain_copy(policy, self._blank)  # pyright: ignore[reportReturnType]
        return policy

    def learnt_weights(self) -> dict[str, Tensor]:
        """What is trained of the policy, its critic apart, whole and on the CPU. Every process must take part."""
        policy: Any = self.accelerator.unwrap_model(self.model)
        trained = {name: x for name, x in policy.state_dict(keep_vars=True).items() if x.requires_grad}
        return {name: whole(x).detach().cpu().clone() for name, x in trained.items() if not is_of_critic(name)}

    def take(self, weights: dict[str, Tensor]) -> None:
        """Be the policy with these `learnt_weights` from now on, to be measured and exported: learning has ended. Every
        process must take part."""
        policy: Any = self.accelerator.unwrap_model(self.model)
        if not is_spread(policy):
            policy.load_state_dict(weights, strict=False)
            return
        self._taken = filled(self._blank, whole_state(policy) | weights)
        if self.args.bf16:  # as it was measured while it learnt
            cast(self._taken, torch.bfloat16)
        self._taken.to(self.args.device)

    def get_train_dataloader(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Rollouts(self)

    def rollout(self, step: int) -> Selection:
        """Draw, score and select for step `step` (from 0)."""
        start = time.perf_counter()
        prompts, ids_NP, mask_NP = self.prompts.batch(
            indices_of_step(step, self.plan.num_prompts, len(self.prompts.prompts), self.plan.seed)
        )
        each = self.algorithm.num_samples
        first, mine = step * self.plan.num_prompts * each, processes.share(len(prompts))
        seeds = [seed_of("rollout", self.plan.seed, first + i) for i in range(mine.start * each, mine.stop * each)]
        with self.policy() as policy:
            drawn = draw(policy, self.actors.sampler, prompts[mine], ids_NP[mine], mask_NP[mine], seeds)
            drawn_at = time.perf_counter()
            seed = seed_of("selection", self.plan.seed, step)
            own = score(drawn, policy, self.actors, seed, self.algorithm.needs.preferences)
        parts = processes.gathered(own)
        scored, entropy_NGT = concatenated([part for part, _ in parts]), torch.cat([entropy for _, entropy in parts])
        selection = self.algorithm.select(scored, self.regularizer, self.beta)
        flat = [x.flatten(0, 1) for x in (scored.logps_NGT, scored.ref_logps_NGT, scored.mask_NGT)]
        lengths = scored.mask_NGT.sum(-1).float()
        self.num_completions = scored.scores_NG.numel()
        self.row = {
            **selection.metrics,
            "objective/scores": scored.proxy_NG.mean().item(),
            "objective/optimised_scores": scored.scores_NG.mean().item(),
            "objective/kl": ((scored.logps_NGT - scored.ref_logps_NGT).sum() / lengths.numel()).item(),
            "objective/entropy": (entropy_NGT.sum() / lengths.sum()).item(),
            "regularizer/divergence": self.regularizer.divergence(*flat).mean().item(),
            **self.regularizer.diagnostics(*flat),
            "regularizer/beta": self.beta,
            "completions/mean_length": lengths.mean().item(),
            "completions/eos_rate": scored.ended_NG.float().mean().item(),
            **measured(scored, self.actors.sampler.importance_clip),
            "time/draw": drawn_at - start,
            "time/score": time.perf_counter() - drawn_at,
        }
        if (clipped := self.actors.proxy.clipped(scored.proxy_NG)) is not None:
            self.row["objective/reward_clip_fraction"] = clipped.float().mean().item()
        self._learning_since = time.perf_counter()
        self._sums = {}
        return selection

    def compute_loss(self, model, inputs: dict, return_outputs=False, num_items_in_batch=None):
        batch = _on(inputs["batch"], self.args.device)
        shape = batch.ids_NKT.shape
        rows = (
            batch.prompt_ids_NP.repeat_interleave(shape[1], 0),
            batch.prompt_mask_NP.repeat_interleave(shape[1], 0),
            batch.ids_NKT.flatten(0, 1),
            batch.mask_NKT.flatten(0, 1),
        )
        inputs = inputs_of(*rows)
        asked = {"completion_length": shape[2], "temperature": self.actors.sampler.temperature}
        against = None
        needs = self.algorithm.needs
        if needs.token_measure is not None:
            measure = needs.token_measure(self.regularizer)
            with self.accelerator.autocast():  # as where its log-probabilities come from
                against = reference_logits(self.actors.reference, inputs, measure, **asked)
        out = model(**inputs, **asked, entropy=needs.entropy, against=against)
        output = PolicyOutput(
            logps_NKT=out["logps"].view(shape),
            entropy_NKT=_shaped(out, "entropies", shape),
            values_NKT=_shaped(out, "values", shape),
            compared_NKT=_shaped(out, "compared", shape),
        )
        loss, metrics = self.algorithm.loss(output, batch, self.regularizer, self.beta)
        if not loss.isfinite():
            raise UserError(
                f"the loss became {loss.item()} at step {self.step + 1}; lower torch_optimizer.learning_rate "
                f"(now {self.args.learning_rate}) or check the reward"
            )
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        # The Trainer divides by the number of micro-batches and takes the mean over processes; our losses already add up.
        return loss * self.current_gradient_accumulation_steps * processes.size()

    def floating_point_ops(self, inputs) -> int:
        return 0  # the Trainer's estimate reads a batch of token ids, which these are not

    def finish_step(self) -> None:
        """Complete the step's row of metrics and hand it on."""
        own = {name: float(value) / self.updates_per_step for name, value in self._sums.items()}
        parts = processes.gathered(own)
        sums = {name: sum(part[name] for part in parts) for name in own}
        assert self.lr_scheduler is not None
        self.row |= sums | {
            "lr": float(self.lr_scheduler.get_last_lr()[0]),  # pyright: ignore[reportAttributeAccessIssue]
            "time/learn": time.perf_counter() - self._learning_since,
        }
        self.beta = self.regularizer.next_beta(self.beta, self.row["regularizer/divergence"], self.num_completions)
        self.after_step(self.step, self.row)


def _on(batch: Batch, device: torch.device) -> Batch:
    tensors = {f.name: getattr(batch, f.name) for f in fields(batch)}
    moved = {name: x.to(device) for name, x in tensors.items() if isinstance(x, Tensor)}
    return replace(batch, **moved, credit={name: x.to(device) for name, x in batch.credit.items()})


def _shaped(out: dict[str, Tensor], name: str, shape: torch.Size) -> Tensor | None:
    """An output (B, T, ...) as (N, K, T, ...), where there is one."""
    return out[name].unflatten(0, shape[:2]) if name in out else None


class _Rollouts:
    """What the Trainer iterates once per epoch: one rollout's minibatches."""

    def __init__(self, trainer: OnPolicyTrainer) -> None:
        self.trainer = trainer

    def __len__(self) -> int:
        return self.trainer.updates_per_step * self.trainer.plan.num_micro

    def __iter__(self) -> Iterator[dict[str, Batch]]:
        trainer, plan = self.trainer, self.trainer.plan
        step = trainer.step
        selection = trainer.rollout(step)
        algorithm = trainer.algorithm
        parts = minibatches(selection, algorithm.num_epochs, algorithm.num_minibatches, plan.num_micro, plan.seed, step)
        yield from ({"batch": batch} for batch in parts)


class _StepBoundary(TrainerCallback):
    """Ends steps: their metrics are written first, then the checkpoint that a resumed run continues from."""

    def __init__(self, trainer: OnPolicyTrainer) -> None:
        self.trainer = trainer

    def on_epoch_end(self, args, state, control, **kwargs):
        self.trainer.finish_step()
        step, plan = self.trainer.step, self.trainer.plan
        stopping = self.trainer.stopping()
        control.should_training_stop = stopping
        control.should_save = stopping or (step % plan.checkpoint_interval == 0 and step < plan.num_steps)
        return control

    def on_save(self, args, state, control, **kwargs):
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        plan = self.trainer.plan
        training_state.mark(folder, self.trainer.step, plan.layout, plan.rows, beta=self.trainer.beta)
