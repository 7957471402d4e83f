"""draw -> score -> select -> learn -> log, for any policy optimiser: a transformers.Trainer whose epoch is one rollout.

Its "dataloader" makes a rollout when an epoch begins and yields the minibatches to learn from, so that checkpoints,
resuming, schedules, clipping and the distributed back ends are the Trainer's own.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from rlx.core.error import UserError
from rlx.core.policy_optimizer import PolicyOptimizer
from rlx.core.regularizer import Regularizer
from rlx.core.rollout import Batch, PolicyOutput, ScoredRollout, Selection
from rlx.core.seed import seed_of
from rlx.engine.experience import Actors, draw, score
from rlx.engine.forward import inputs_of
from rlx.engine.minibatch import minibatches
from rlx.engine.prompts import EncodedPrompts, indices_of_step
from rlx.model.actor_critic import without_dropout

STEP_FILE = "step.json"  # written last into a checkpoint, so its presence means whole


@dataclass(frozen=True)
class Plan:
    """How much is done: `num_steps` rollouts of `num_prompts` prompts, a checkpoint every `checkpoint_interval`."""

    num_steps: int
    num_prompts: int
    num_micro: int
    checkpoint_interval: int
    seed: int


AfterStep = Callable[[int, dict[str, float], ScoredRollout], None]


class OnPolicyTrainer(Trainer):
    """`after_step(step, row, scored)` is called when a step's rollout has been learnt from, before it is checkpointed."""

    def __init__(
        self,
        policy: PreTrainedModel,
        args: TrainingArguments,
        algorithm: PolicyOptimizer,
        regularizer: Regularizer,
        actors: Actors,
        prompts: EncodedPrompts,
        plan: Plan,
        after_step: AfterStep,
    ) -> None:
        super().__init__(model=without_dropout(policy), args=args)
        self.remove_callback(PrinterCallback)
        self.algorithm, self.regularizer, self.actors = algorithm, regularizer, actors
        self.prompts, self.plan, self.after_step = prompts, plan, after_step
        self.beta = regularizer.beta
        self.updates_per_step = algorithm.num_epochs * algorithm.num_minibatches
        self.row: dict[str, float] = {}
        self.scored: ScoredRollout | None = None
        self._sums: dict[str, Tensor] = {}
        self.add_callback(_StepBoundary(self))

    @property
    def step(self) -> int:
        """Rollouts that have been learnt from."""
        return self.state.global_step // self.updates_per_step

    @property
    def policy(self) -> PreTrainedModel:
        """The model as transformers made it, without a distributed wrapper."""
        return self.accelerator.unwrap_model(self.model)  # pyright: ignore[reportReturnType]

    def get_train_dataloader(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Rollouts(self)

    def rollout(self, step: int) -> Selection:
        """Draw, score and select for step `step` (from 0)."""
        start = time.perf_counter()
        prompts, ids_NP, mask_NP = self.prompts.batch(
            indices_of_step(step, self.plan.num_prompts, len(self.prompts.prompts), self.plan.seed)
        )
        num = self.plan.num_prompts * self.algorithm.num_samples
        seeds = [seed_of("rollout", self.plan.seed, step * num + i) for i in range(num)]
        drawn = draw(self.policy, self.actors.sampler, prompts, ids_NP, mask_NP, seeds)
        drawn_at = time.perf_counter()
        scored, entropy_NGT = score(
            drawn,
            self.policy,
            self.actors,
            seed_of("selection", self.plan.seed, step),
            self.algorithm.wants_preferences,
        )
        selection = self.algorithm.select(scored, self.regularizer, self.beta)
        divergence = self._divergence(scored)
        lengths = scored.mask_NGT.sum(-1).float()
        self.scored = scored
        self.row = {
            **selection.metrics,
            "objective/scores": scored.scores_NG.mean().item(),
            "objective/kl": ((scored.logps_NGT - scored.ref_logps_NGT).sum() / lengths.numel()).item(),
            "objective/entropy": (entropy_NGT.sum() / lengths.sum()).item(),
            "regularizer/divergence": divergence,
            "regularizer/beta": self.beta,
            "completions/mean_length": lengths.mean().item(),
            "completions/eos_rate": scored.ended_NG.float().mean().item(),
            "time/draw": drawn_at - start,
            "time/score": time.perf_counter() - drawn_at,
        }
        self._learning_since = time.perf_counter()
        self._sums = {}
        return selection

    def compute_loss(self, model, inputs: dict, return_outputs=False, num_items_in_batch=None):
        batch: Batch = inputs["batch"]
        shape = batch.ids_NKT.shape
        rows = (
            batch.prompt_ids_NP.repeat_interleave(shape[1], 0),
            batch.prompt_mask_NP.repeat_interleave(shape[1], 0),
            batch.ids_NKT.flatten(0, 1),
            batch.mask_NKT.flatten(0, 1),
        )
        inputs = inputs_of(*rows)
        asked = {"completion_length": shape[2], "temperature": self.actors.sampler.temperature}
        whole = self.algorithm.wants_distributions
        out = model(**inputs, **asked, entropy=self.algorithm.wants_entropy, distributions=whole)
        ref = {}
        if whole:
            with torch.no_grad():
                ref = self.actors.reference(**inputs, **asked, distributions=True)
        output = PolicyOutput(
            logps_NKT=out["logps"].view(shape),
            entropy_NKT=_shaped(out, "entropies", shape),
            values_NKT=_shaped(out, "values", shape),
            distributions_NKTV=_shaped(out, "distributions", shape),
            ref_distributions_NKTV=_shaped(ref, "distributions", shape),
        )
        loss, metrics = self.algorithm.loss(output, batch, self.regularizer, self.beta)
        if not loss.isfinite():
            raise UserError(
                f"the loss became {loss.item()} at step {self.step + 1}; lower torch_optimizer.learning_rate "
                f"(now {self.args.learning_rate}) or check the reward"
            )
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        # The Trainer divides by the number of micro-batches; our losses already add up.
        return loss * self.current_gradient_accumulation_steps

    def floating_point_ops(self, inputs) -> int:
        return 0  # the Trainer's estimate reads a batch of token ids, which these are not

    def finish_step(self) -> None:
        """Complete the step's row of metrics and hand it on."""
        assert self.scored is not None
        sums = {name: float(value) / self.updates_per_step for name, value in self._sums.items()}
        assert self.lr_scheduler is not None
        self.row |= sums | {
            "lr": float(self.lr_scheduler.get_last_lr()[0]),  # pyright: ignore[reportAttributeAccessIssue]
            "time/learn": time.perf_counter() - self._learning_since,
        }
        num_completions = self.scored.scores_NG.numel()
        self.beta = self.regularizer.next_beta(self.beta, self.row["regularizer/divergence"], num_completions)
        self.after_step(self.step, self.row, self.scored)

    def _divergence(self, scored: ScoredRollout) -> float:
        flat = (x.flatten(0, 1) for x in (scored.logps_NGT, scored.ref_logps_NGT, scored.mask_NGT))
        return self.regularizer.divergence(*flat).mean().item()


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
        control.should_save = step % plan.checkpoint_interval == 0 and step < plan.num_steps
        return control

    def on_save(self, args, state, control, **kwargs):
        content = {"step": self.trainer.step, "beta": self.trainer.beta}
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        (folder / f"{STEP_FILE}.tmp").write_text(json.dumps(content))
        (folder / f"{STEP_FILE}.tmp").rename(folder / STEP_FILE)


def latest_checkpoint(folder: Path) -> tuple[Path, int, float] | None:
    """The newest whole checkpoint, its step and beta; a save that was cut short is passed over."""
    found = []
    for mark in folder.glob(f"checkpoint-*/{STEP_FILE}"):
        content = json.loads(mark.read_text())
        found.append((content["step"], content["beta"], mark.parent))
    if not found:
        return None
    step, beta, path = max(found)
    return path, step, beta
