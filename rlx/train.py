"""`rlx train`: members -> reward, reference -> policy optimisation -> measurements -> model and report.

Reads like the algorithm box of a paper; everything that it names is a choice of a group or a part of the engine.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainingArguments

from rlx import report
from rlx.command.runs import load_config
from rlx.core.logs import Warnings, speak
from rlx.core.progress import stage
from rlx.core.record import load_record
from rlx.core.rollout import ScoredRollout
from rlx.engine.export import export_policy
from rlx.engine.held_out import sample_rows
from rlx.engine.interruption import Interruption
from rlx.engine.provenance import Provenance
from rlx.engine.run_directory import METRICS, SAMPLES, RunDirectory
from rlx.engine.trainer import OnPolicyTrainer, Plan, latest_checkpoint
from rlx.experiment.assembly import Assembly, assemble, prompts_of
from rlx.experiment.best_of_n import BestOfN
from rlx.experiment.cell import Cell, cell_of
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.page.card import model_card

log = logging.getLogger(__name__)


def run(config_path: Path) -> int:
    """Train the cell that a run directory's config.yaml describes, from its last checkpoint if it has one."""
    interruption = Interruption()
    directory = RunDirectory(config_path.parent)
    warnings = speak(directory.path / "log.txt")
    config = load_config(config_path)
    with directory.running():
        Training(directory, config, warnings, interruption).run()
    return 0


class Training:
    """One run, from its artefacts to its report."""

    def __init__(
        self, directory: RunDirectory, config: Mapping[str, Any], warnings: Warnings, interruption: Interruption
    ) -> None:
        self.interruption = interruption
        self.directory = directory
        self.cell: Cell = cell_of(config)
        self.settings = self.cell.settings
        self.provenance = Provenance(directory.read("provenance.json"), warnings.said)
        self.tracker = self.cell.tracker.start(directory.path, config, directory.path.name)

    def run(self) -> None:
        try:
            paths = self.members()
            with self.provenance.stage("combine"):
                self.assembly: Assembly = assemble(self.cell, paths)
            self.provenance.counts |= self.assembly.counts
            summary = self.optimise() if self.cell.optimizer.num_epochs else self.choose(paths)
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
        members = [paths[f"reward model {member.index}"] for member in self.cell.members()]
        records = [{"address": path.name, **json.loads((path / "member.json").read_text())} for path in members]
        self.directory.write("members.json", records)
        return paths

    def choose(self, paths: Mapping[str, Path]) -> dict[str, float]:
        """Best-of-n: nothing is learnt from a rollout; completions are drawn once and chosen among."""
        self.directory.keep_rows_until(-1)
        with self.provenance.stage("best of n"):
            policy, summary = BestOfN(self.cell, self.assembly, paths, self.directory, self.tracker).run()
        return self.conclude(policy, summary)

    def optimise(self) -> dict[str, float]:
        """Learn from rollouts, then measure once more on all held-out prompts."""
        with self.provenance.stage("combine"):
            self.trainer = self.make_trainer()
        self.learn()
        with self.provenance.stage("final measurement"):
            policy, num = self.trainer.policy, self.settings.evaluation.final_num_prompts
            summary = measure_all(self.assembly.held_out.evaluate(policy, num))
        return self.conclude(policy, summary)

    def make_trainer(self) -> OnPolicyTrainer:
        """Set a policy, with the critic that its optimiser wants, beside its reference and its proxy reward."""
        cell, settings = self.cell, self.settings
        prompts = prompts_of(cell, "train", self.provenance.counts)
        plan = Plan(
            settings.num_steps, settings.num_prompts, self.num_micro, settings.checkpoint.interval, settings.seed
        )
        policy = with_critic(cell.model.policy(self.assembly.start), cell.optimizer.critic)
        policy = with_adapters(policy, cell.model.lora("CAUSAL_LM"))
        return OnPolicyTrainer(
            policy,
            self.arguments(),
            cell.optimizer,
            cell.regularizer,
            self.assembly.actors,
            prompts,
            plan,
            self.after_step,
        )

    def learn(self) -> None:
        """From the last whole checkpoint, or from the start."""
        checkpoint = latest_checkpoint(self.directory.path / "checkpoints")
        self.directory.keep_rows_until(checkpoint[1] if checkpoint else -1)
        with self.provenance.stage("policy"), stage("policy", self.settings.num_steps) as self.bar:
            if checkpoint:
                path, step, self.trainer.beta = checkpoint
                log.info("going on after step %d of %d", step, self.settings.num_steps)
                self.bar.advance(step)
                self.trainer.train(resume_from_checkpoint=str(path))
            else:
                self.measure(0)
                self.trainer.train()

    def after_step(self, step: int, row: dict[str, float], scored: ScoredRollout) -> None:
        self.directory.append(METRICS, [{"step": step, "split": "train", **row}])
        self.tracker.log(step, row)
        if step % self.settings.evaluation.interval == 0 or step == self.settings.num_steps:
            self.measure(step)
        self.interruption.check()
        self.bar.advance(note=f"proxy {row['objective/scores']:+.2f}  KL {row['objective/kl']:.1f}")

    def measure(self, step: int) -> None:
        """One row of held-out measurements, and what the policy wrote."""
        settings = self.settings.evaluation
        evaluation = self.assembly.held_out.evaluate(self.trainer.policy, settings.num_prompts)
        row = measure_all(evaluation)
        self.directory.append(SAMPLES, sample_rows(step, evaluation, settings.num_samples))
        self.directory.append(METRICS, [{"step": step, "split": "heldout", **row}])
        self.tracker.log(step, row, "heldout")

    def conclude(self, policy: PreTrainedModel, summary: dict[str, float]) -> dict[str, float]:
        """Write the final measurement, and export the model."""
        self.directory.write("summary.json", summary)
        self.save_provenance()
        model_dir = self.directory.path / "model"
        export_policy(policy, self.cell.model.tokenizer(), model_dir, model_card(load_record(self.directory.path)))
        return summary

    def show(self, summary: dict[str, float]) -> None:
        """Write the report, and tell the tracker the rest."""
        self.directory.finish()
        report.run(self.directory.path)
        samples = self.directory.rows(SAMPLES)
        columns = ["step", "prompt", "completion", "proxy", "gold"]
        self.tracker.table("samples", columns, [[_cell(row[name]) for name in columns] for row in samples])
        self.tracker.file(self.directory.path / "report.html")
        self.tracker.file(self.directory.path / "model" / "README.md")
        self.tracker.finish(summary)

    def save_provenance(self) -> None:
        self.directory.write("provenance.json", self.provenance.content())

    @property
    def num_micro(self) -> int:
        """Parts that a minibatch is learnt from in, for memory."""
        micro = self.cell.compute.micro_batch_size
        minibatch = self.settings.num_prompts // self.cell.optimizer.num_minibatches
        return 1 if micro is None else -(-minibatch // micro)

    def arguments(self) -> TrainingArguments:
        o = self.settings.torch_optimizer
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
            **self.cell.compute.training_arguments(),
        )


def _cell(value: object) -> object:
    """A table's cell: conversations as text."""
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
