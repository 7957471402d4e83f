"""`rlx train`: members -> reward, reference -> policy optimisation -> measurements -> model and report.

Reads like the algorithm box of a paper; everything that it names is a choice of a group or a part of the engine.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from rlx import report
from rlx.artefact import training_state
from rlx.command.advice import advice
from rlx.compute.launcher import launch
from rlx.compute.universal import make_readable
from rlx.core.build import build
from rlx.core.error import UserError, WorkerError
from rlx.core.seed import seed_of
from rlx.engine.export import export_policy
from rlx.engine.held_out import final_rows, sample_rows
from rlx.engine.provenance import Provenance
from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
from rlx.experiment import on_pairs
from rlx.experiment.assembly import Assembly, assemble, prompts_of
from rlx.experiment.best_of_n import BestOfN
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.keep_best import BestPolicy, half_that_chooses, halves, left_aside
from rlx.experiment.preflight import check_cell
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.precision import cast
from rlx.process import interruption, outer, processes
from rlx.process.logs import Warnings, speak
from rlx.process.progress import stage
from rlx.reporting.card import model_card
from rlx.run.directory import METRICS, SAMPLES, RunDirectory
from rlx.run.record import CLEANING, FINAL_SAMPLES, load_record
from rlx.run.state import load_config
from rlx.tracker.jsonl import Jsonl

log = logging.getLogger(__name__)


def run(config_path: Path) -> int:
    """Train the cell that a run directory's config.yaml describes, from its last checkpoint if it has one; on several
    processes where `compute` says so."""
    compute: Any = build(load_config(config_path)["compute"])
    if compute.num_processes == 1:
        work(config_path)
        return 0
    directory = RunDirectory(config_path.parent, writes=outer.rank() == 0)
    directory.check_free()
    try:
        launch("rlx.train", config_path, compute, config_path.parent / "processes")
    except (UserError, WorkerError) as error:
        directory.fail(str(error))  # its own process may not have come to say so
        raise
    return 0


def work(config_path: Path) -> None:
    """One process's part of it."""
    interruption.listen()
    config = load_config(config_path)
    cell = cell_of(config)
    directory = RunDirectory(config_path.parent, writes=processes.first())
    warnings = speak(directory.path / "log.txt" if processes.first() else None)
    for line in advice(config):
        log.warning("%s", line)
    with directory.running():
        Run(directory, cell, config, warnings).run()
    unset_hf_deepspeed_config()  # else the next run of this process would load its models in parts


class Run:
    """One run, from its artefacts to its report."""

    def __init__(self, directory: RunDirectory, cell: Cell, config: Mapping[str, Any], warnings: Warnings) -> None:
        self.directory = directory
        self.cell = cell
        self.settings = self.cell.settings
        self.provenance = Provenance(directory.read("provenance.json"), warnings.said)
        tracker = self.cell.tracker if processes.first() else Jsonl()
        self.tracker = tracker.start(directory.path, config, directory.path.name)

    def run(self) -> None:
        try:
            check_cell(self.cell)
            paths = self.members()
            with self.provenance.stage("combine"):
                policy = None if self.cell.best_of_n else self.make_policy(paths["SFT policy 0"])
                self.assembly: Assembly = assemble(self.cell, paths, policy)
            self.provenance.counts |= self.assembly.counts
            summary = self.choose(paths) if policy is None else self.optimise(policy)
            self.show(summary)
        except BaseException:
            self.save_provenance()
            self.tracker.finish({}, exit_code=1)
            raise

    def members(self) -> dict[str, Path]:
        """Fetch every artefact; keep a record of where it lies and of how good the reward models are."""
        paths = {}
        for name, recipe in self.cell.recipes().items():
            with self.provenance.stage(name):
                paths[name] = self.cell.store.fetch(recipe, self.settings.data_seed)
            self.provenance.artefacts[name] = paths[name].name
        self.save_provenance()  # `rlx clean` asks what a run uses, also of one that is killed later
        members = [paths[f"reward model {member.index}"] for member in self.cell.members()]
        on_pairs.check_pairs(self.cell.world, paths)
        self.judges = on_pairs.judge_rows(members, paths, self.cell.given_gold())
        self.directory.write("members.json", self.judges)
        self.importance = on_pairs.importance_of(paths)
        if self.importance:
            self.directory.write("importance.json", self.importance)
        self.cleaning = on_pairs.cleaning_of(paths)
        if self.cleaning is not None:
            self.directory.write(CLEANING, self.cleaning)
        return paths

    def choose(self, paths: Mapping[str, Path]) -> dict[str, float]:
        """Best-of-n: nothing is learnt from a rollout; completions are drawn once and chosen among."""
        self.directory.keep_rows_until(-1)
        with self.provenance.stage("best of n"):
            policy, summary = BestOfN(self.cell, self.assembly, paths, self.directory, self.tracker).run()
        self.dtype = policy.dtype
        return self.conclude(policy, summary)

    def optimise(self, policy: PreTrainedModel) -> dict[str, float]:
        """Learn from rollouts, then measure once more on all held-out prompts."""
        with self.provenance.stage("combine"):
            self.trainer = self.make_trainer(policy)
        self.best = BestPolicy(self.directory.path) if self.settings.checkpoint.keep_best else None
        self.learn()
        if self.best:
            self.trainer.take(self.best.weights())
        with self.provenance.stage("final measurement"), self.trainer.policy() as learnt:
            num = self.settings.evaluation.final_num_prompts
            held_out = self.assembly.held_out
            aside = left_aside(self.settings, held_out.prompts.prompts)
            evaluation = held_out.evaluate(learnt, num, without=aside)
            summary = measure_all(evaluation)
        if self.best:
            summary |= self.best.row
        self.directory.write_rows(FINAL_SAMPLES, final_rows(self.settings.num_steps, evaluation))
        return self.conclude(self.trainer.plain_policy(), summary)

    def make_policy(self, start: Path) -> PreTrainedModel:
        """The policy at `start`, to learn: with the critic that its optimiser wants, and adapters where the model has them."""
        policy = self.cell.model.policy(start)
        self.dtype = policy.dtype
        lora = self.cell.model.lora("CAUSAL_LM")
        if lora is None:
            cast(policy, torch.float32)  # masters: in bfloat16, small updates would round to nothing
        needs = self.cell.policy_optimizer.needs
        policy = with_critic(policy, needs.critic, self.cell.compute.compile)
        return with_adapters(policy, lora, seed_of("adapters", self.settings.seed))

    def make_trainer(self, policy: PreTrainedModel) -> OnPolicyTrainer:
        """Set the policy beside its reference and its proxy reward."""
        cell, settings = self.cell, self.settings
        prompts = prompts_of(cell, "train", self.provenance.counts)
        plan = TrainingPlan(
            num_steps=settings.num_steps,
            num_prompts=settings.num_prompts,
            num_micro=self.num_micro,
            checkpoint_interval=settings.checkpoint.interval,
            seed=settings.seed,
            layout=cell.compute.layout,
            rows=self.directory.growing,
        )
        return OnPolicyTrainer(
            policy,
            self.arguments(),
            cell.policy_optimizer,
            cell.regularizer,
            self.assembly.actors,
            prompts,
            plan,
            self.after_step,
            interruption.stopping,
        )

    def learn(self) -> None:
        """From the last whole checkpoint, or from the start."""
        if checkpoint := training_state.latest(self.directory.path / "checkpoints"):
            make_readable(checkpoint, self.cell.compute.layout, "the policy", self.trainer)
        self.directory.keep_rows_until(checkpoint.step if checkpoint else -1)
        if self.best:
            self.best.resume(checkpoint.step if checkpoint else -1)
        with (
            self.provenance.stage("policy"),
            stage("policy", self.settings.num_steps) as self.bar,
            interruption.at_steps(),
        ):
            if checkpoint:
                self.trainer.beta = checkpoint.more["beta"]
                log.info("going on after step %d of %d", checkpoint.step, self.settings.num_steps)
                self.bar.advance(checkpoint.step)
                self.trainer.train(resume_from_checkpoint=str(checkpoint.path))
            else:
                self.trainer.add_callback(_Start(self))
                self.trainer.train()
        interruption.check()

    def after_step(self, step: int, row: dict[str, float]) -> None:
        self.directory.append(METRICS, [{"step": step, "split": "train", **row}])
        self.tracker.log(step, row)
        if step % self.settings.evaluation.interval == 0 or step == self.settings.num_steps:
            self.measure(step)
        self.bar.advance(note=f"proxy {row['objective/scores']:+.2f}  KL {row['objective/kl']:.1f}")

    def measure(self, step: int) -> None:
        """One row of held-out measurements, and what the policy wrote."""
        settings = self.settings.evaluation
        with self.trainer.policy() as policy:
            evaluation = self.assembly.held_out.evaluate(policy, settings.num_prompts)
        row = measure_all(evaluation)
        if self.best:
            row |= halves(evaluation, half_that_chooses(evaluation.prompts))
            if self.best.improves(row):
                self.best.keep(step, row, self.trainer.learnt_weights())
        self.directory.append(SAMPLES, sample_rows(step, evaluation, settings.num_samples))
        self.directory.append(METRICS, [{"step": step, "split": "heldout", **row}])
        self.tracker.log(step, row, "heldout")

    def conclude(self, policy: PreTrainedModel, summary: dict[str, float]) -> dict[str, float]:
        """Write the final measurement with the judges' accuracies, and export the model."""
        summary = summary | on_pairs.judge_metrics(self.judges) | on_pairs.cleaning_metrics(self.cleaning)
        summary |= on_pairs.importance_metrics(self.importance)
        self.directory.write("summary.json", summary)
        self.save_provenance()
        if processes.first():
            path = self.directory.path
            export_policy(
                policy, self.cell.model.tokenizer(), path / "model", model_card(load_record(path)), self.dtype
            )
        return summary

    def show(self, summary: dict[str, float]) -> None:
        """Write the report, and tell the tracker the rest."""
        if processes.first():
            self.directory.finish(shown=False)
            report.conclude(self.directory, self.tracker, summary)

    def save_provenance(self) -> None:
        self.directory.write("provenance.json", self.provenance.content())

    @property
    def num_micro(self) -> int:
        """Return the number of micro-batches per process and minibatch (gradient accumulation, to save memory)."""
        micro = self.cell.compute.micro_batch_size
        share = self.settings.num_prompts // self.cell.policy_optimizer.num_minibatches // processes.size()
        return 1 if micro is None else -(-share // micro)

    def arguments(self) -> TrainingArguments:
        o = self.settings.torch_optimizer
        placement: dict[str, Any] = self.cell.compute.training_arguments() | {"bf16": self.dtype == torch.bfloat16}
        return TrainingArguments(
            output_dir=str(self.directory.path / "checkpoints"),
            num_train_epochs=self.settings.num_steps,  # an epoch of the Trainer is one rollout
            gradient_accumulation_steps=self.num_micro,
            learning_rate=o.learning_rate,
            adam_beta1=o.adam_beta1,
            adam_beta2=o.adam_beta2,
            adam_epsilon=o.adam_epsilon,
            weight_decay=o.weight_decay,
            max_grad_norm=o.max_grad_norm,
            lr_scheduler_type=o.schedule,
            warmup_steps=o.warmup_steps,
            save_strategy="no",  # the engine says when: at the end of a step
            save_total_limit=self.settings.checkpoint.keep,
            logging_strategy="no",
            logging_nan_inf_filter=False,
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            ignore_data_skip=True,
            seed=self.settings.seed % 2**31,
            **placement,
        )


class _Start(TrainerCallback):
    """Measures the policy before it learns, but no sooner than a back end has it: DeepSpeed is what moves it to the GPU and
    to the precision that it will be measured in from then on."""

    def __init__(self, training: Run) -> None:
        self.training = training

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.training.measure(0)
