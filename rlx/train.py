"""`rlx train`: members -> reward, reference -> policy optimisation -> measurements -> model and report.

Reads like the algorithm box of a paper; everything that it names is a choice of a group or a part of the engine.
"""

import json
import logging
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from transformers import TrainingArguments

from rlx import report
from rlx.core.logs import Warnings, speak
from rlx.core.progress import Bar, stage
from rlx.core.rollout import ScoredRollout
from rlx.core.scorer import Scorer
from rlx.core.world import Judge, Split
from rlx.engine.experience import Actors
from rlx.engine.export import export_policy
from rlx.engine.held_out import HeldOut, sample_rows
from rlx.engine.prompts import EncodedPrompts, encode
from rlx.engine.provenance import Provenance
from rlx.engine.run_directory import METRICS, SAMPLES, RunDirectory
from rlx.engine.trainer import OnPolicyTrainer, Plan, latest_checkpoint
from rlx.metric.battery import measure_all
from rlx.model.actor_critic import with_critic
from rlx.prepare import Cell, cell_of, recipes_of
from rlx.reward.single import Single
from rlx.supervised.reference_set import read_reference_set

log = logging.getLogger(__name__)


def run(config_path: Path) -> int:
    """Train the cell that a run directory's config.yaml describes, from its last checkpoint if it has one."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's TERM is a Ctrl-C
    directory = RunDirectory(config_path.parent)
    warnings = speak(directory.path / "log.txt")
    config = OmegaConf.to_container(OmegaConf.load(config_path))
    assert isinstance(config, dict)
    with directory.running():
        Training(directory, config, warnings).run()
    report.run(directory.path)
    log.info("report: %s", directory.path / "report.html")
    return 0


class Training:
    """One run, from its artefacts to its summary."""

    def __init__(self, directory: RunDirectory, config: Mapping[str, Any], warnings: Warnings) -> None:
        self.directory = directory
        self.cell: Cell = cell_of(config)
        self.settings = self.cell.settings
        self.provenance = Provenance(directory.read("provenance.json"))
        self.provenance.warnings = warnings.said
        self.tracker = self.cell.tracker.start(directory.path, config, directory.path.name)

    def run(self) -> None:
        try:
            paths = self.members()
            trainer, held_out = self.trainer(paths)
            self.learn(trainer, held_out)
            summary = self.conclude(trainer, held_out)
        except BaseException:
            self.save_provenance()
            self.tracker.finish({}, exit_code=1)
            raise
        self.tracker.finish(summary)

    def members(self) -> dict[str, Path]:
        """Fetch every artefact; keep a record of where it lies and of how good the reward models are."""
        store, seed = self.cell.store, self.settings.data_seed
        paths = {}
        with self.provenance.stage("members"):
            for name, recipe, _ in recipes_of(self.cell):
                paths[name] = store.fetch(recipe, seed)
        self.provenance.artefacts = {name: path.name for name, path in paths.items()}
        records = []
        for member in self.cell.members():
            path = paths[f"reward model {member.index}"]
            records.append({"address": path.name, **json.loads((path / "member.json").read_text())})
        self.directory.write("members.json", records)
        self.provenance.counts |= {f"world: {reason}": count for reason, count in self.cell.world.left_out().items()}
        return paths

    def trainer(self, paths: Mapping[str, Path]) -> tuple[OnPolicyTrainer, HeldOut]:
        """Combine the members, and set the policy beside its reference and its proxy reward."""
        cell, settings = self.cell, self.settings
        policies = [paths[f"SFT policy {p.index}"] for p in cell.policies()]
        members = [paths[f"reward model {m.index}"] for m in cell.members()]
        with self.provenance.stage("combine"):
            reference = with_critic(cell.reference.combine(policies, cell.model), "none")
            judge = cell.judge()
            scorer = self.scorer(members, judge, paths["reference set"])
            actors = Actors(reference, scorer, cell.sampler, cell.compute.rows)
            start = with_critic(cell.model.policy(policies[0]), "none")
            policy = with_critic(cell.model.policy(policies[0]), cell.optimizer.critic)
        singles = [Single().combine([path]) for path in members] or [scorer]
        held_out = HeldOut(self.prompts("heldout"), actors, start, judge, cell.model.tokenizer(), singles)
        trainer = OnPolicyTrainer(
            policy,
            self.arguments(),
            cell.optimizer,
            cell.regularizer,
            actors,
            self.prompts("train"),
            Plan(
                num_steps=settings.num_steps,
                num_prompts=settings.num_prompts,
                num_micro=self.num_micro,
                checkpoint_interval=settings.checkpoint.interval,
                seed=settings.seed,
            ),
            self.after_step,
        )
        return trainer, held_out

    def scorer(self, members: Sequence[Path], judge: Judge, reference_set: Path) -> Scorer:
        """The proxy that the reward choice makes of its members; without members it is the judge itself."""
        if members:
            return self.cell.reward.combine(members)
        return self.cell.reward.of(judge, self.cell.model.tokenizer(), *read_reference_set(reference_set))

    def learn(self, trainer: OnPolicyTrainer, held_out: HeldOut) -> None:
        """From the last whole checkpoint, or from the start."""
        self.held_out, self.policy = held_out, trainer.model
        checkpoint = latest_checkpoint(self.checkpoints)
        done = checkpoint[1] if checkpoint else 0
        self.directory.keep_rows_until(done if checkpoint else -1)
        with self.provenance.stage("learn"), stage("policy", self.settings.num_steps) as bar:
            self.bar: Bar = bar
            if checkpoint:
                path, step, trainer.beta = checkpoint
                log.info("continuing after step %d of %d", step, self.settings.num_steps)
                bar.advance(step)
            else:
                self.measure(0, self.settings.evaluation.num_prompts)
            trainer.train(resume_from_checkpoint=str(checkpoint[0]) if checkpoint else None)

    def after_step(self, step: int, row: dict[str, float], scored: ScoredRollout) -> None:
        self.directory.append(METRICS, [{"step": step, "split": "train", **row}])
        self.tracker.log(step, row)
        evaluation = self.settings.evaluation
        if step % evaluation.interval == 0 or step == self.settings.num_steps:
            self.measure(step, evaluation.num_prompts)
        self.bar.advance(note=f"proxy {row['objective/scores']:+.2f} KL {row['objective/kl']:.1f}")

    def measure(self, step: int, num_prompts: int) -> None:
        """One row of held-out measurements, and what the policy wrote."""
        evaluation = self.held_out.evaluate(self.policy, num_prompts)  # pyright: ignore[reportArgumentType]
        row = measure_all(evaluation)
        self.directory.append(SAMPLES, sample_rows(step, evaluation, self.settings.evaluation.num_samples))
        self.directory.append(METRICS, [{"step": step, "split": "heldout", **row}])
        self.tracker.log(step, row, "heldout")

    def conclude(self, trainer: OnPolicyTrainer, held_out: HeldOut) -> dict[str, float]:
        """Measure once more on all held-out prompts, export the model, write it all down."""
        with self.provenance.stage("final measurement"):
            evaluation = held_out.evaluate(self.policy, self.settings.evaluation.final_num_prompts)  # pyright: ignore
            summary = measure_all(evaluation) | {"evaluation/num_prompts": len(evaluation.prompts)}
        self.directory.write("summary.json", summary)
        self.save_provenance()
        with self.provenance.stage("export"):
            card = report.card(self.directory.path)
            export_policy(trainer.model, self.cell.model.tokenizer(), self.directory.path / "model", card)  # pyright: ignore
        self.save_provenance()
        samples = self.directory.rows(SAMPLES)
        columns = ["step", "prompt", "completion", "proxy", "gold"]
        self.tracker.table("samples", columns, [[row[name] for name in columns] for row in samples])
        return summary

    def prompts(self, split: Split) -> EncodedPrompts:
        """The split's prompts in token ids; those too long are counted, and said, and left out."""
        prompts = self.cell.world.prompts(split, self.settings.data_seed)
        encoded = encode(self.cell.model.tokenizer(), prompts, self.cell.world.max_prompt_tokens)
        if encoded.left_out:
            log.warning("%d %s prompts are longer than world.max_prompt_tokens and are left out", encoded.left_out, split)
            self.provenance.counts[f"{split} prompts too long"] = encoded.left_out
        return encoded

    def save_provenance(self) -> None:
        self.directory.write("provenance.json", self.provenance.content() | {"seed": self.settings.seed})

    @property
    def checkpoints(self) -> Path:
        return self.directory.path / "checkpoints"

    @property
    def num_micro(self) -> int:
        micro = self.cell.compute.micro_batch_size
        minibatch = self.settings.num_prompts // self.cell.optimizer.num_minibatches
        return 1 if micro is None else -(-minibatch // micro)

    def arguments(self) -> TrainingArguments:
        o = self.settings.torch_optimizer
        return TrainingArguments(
            output_dir=str(self.checkpoints),
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

