"""The procedure of `optimizer=bon`: pool -> scores -> curve over n -> the winners, or a policy distilled from them."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.sampler import Drawn
from rlx.core.seed import seed_of
from rlx.core.tracker import Tracker
from rlx.engine.held_out import final_rows, sample_rows
from rlx.experiment.assembly import Assembly
from rlx.experiment.cell import Cell
from rlx.experiment.pools import PoolRecipes, ScoredPool, scored_pool
from rlx.metric.battery import measure_all
from rlx.metric.interval import mean_interval
from rlx.model.actor_critic import with_critic
from rlx.optimizer.bon import expected_best, kl_bon, sizes, winners, write_curve
from rlx.process import processes
from rlx.process.device import on_device
from rlx.run.directory import METRICS, SAMPLES, RunDirectory
from rlx.run.record import FINAL_SAMPLES
from rlx.supervised.trl_trainers import fit_policy

log = logging.getLogger(__name__)
CURVE = "bon.json"
# Of the policy that samples, not of best-of-n, whose probabilities nobody knows.
NOT_KNOWN = (
    "objective/chi2",
    "objective/chi2_low",
    "objective/chi2_high",
    "objective/chi2_clip_fraction",
    "objective/chi2_tail",
    "objective/entropy",
)


def curve(pool: ScoredPool) -> list[dict[str, float]]:
    """One row for each n: expected proxy and gold of the best of n over prompts, with 95 % intervals over them.

    Gains are over the mean of all N completions of a prompt (n = 1), in standard deviations over the prompts' first
    completions, which are what every run of this data calls the start. The proxy is as measured; completions are chosen
    by what is optimised of it, of which `objective/rlhf_reward` is the mean. `*_to_end` is what is still gained up to N; that
    of gold is widened for its peak being picked from all n. KL is that of best-of-n to the policy that samples, which is
    exact but for ties, plus the mean log-ratio of its completions to the reference. `gold/<factor>` as in a held-out row.
    """
    ns = sizes(pool.gold_PN.shape[1])
    ended_PN = pool.drawn.ended_B.view(pool.gold_PN.shape).double().numpy()
    values = [pool.proxy_PN, pool.gold_PN, pool.log_ratio_PN, pool.chosen_by_PN, ended_PN]
    values += [pool.proxy_PN**2, pool.gold_PN**2]
    best = expected_best(pool.chosen_by_PN, np.stack(values), ns)
    proxy_SP, gold_SP, ratio_SP, chosen_by_SP, ended_SP, proxy2_SP, gold2_SP = best
    factors = {
        name: expected_best(pool.chosen_by_PN, np.stack([x_PN, x_PN**2]), ns) for name, x_PN in pool.factors_PN.items()
    }
    clipped_SP = None
    if pool.clipped_PN is not None:
        (clipped_SP,) = expected_best(pool.chosen_by_PN, pool.clipped_PN[None], ns)
    rows: list[dict[str, float]] = []
    for s, n in enumerate(ns):
        kl_start = kl_bon(n)
        kl = kl_start + float(ratio_SP[s].mean())
        rows.append(
            {
                "bon/n": n,
                "evaluation/num_prompts": float(len(pool.gold_PN)),
                "proxy/score": float(proxy_SP[s].mean()),
                "gold/score": float(gold_SP[s].mean()),
                "proxy/score_std": _spread(proxy_SP[s], proxy2_SP[s]),
                "gold/std": _spread(gold_SP[s], gold2_SP[s]),
                "objective/rlhf_reward": float(chosen_by_SP[s].mean()),
                "completions/eos_rate": float(ended_SP[s].mean()),
                "objective/kl": kl,
                "objective/sqrt_kl": math.sqrt(max(kl, 0.0)),
                "objective/kl_start": kl_start,
                "objective/sqrt_kl_start": math.sqrt(kl_start),
            }
        )
        if clipped_SP is not None:
            rows[-1]["objective/reward_clip_fraction"] = float(clipped_SP[s].mean())
        rows[-1] |= {f"gold/{name}": float(mean_SP[s].mean()) for name, (mean_SP, _) in factors.items()}
        rows[-1] |= {
            f"gold_std/{name}": _spread(mean_SP[s], squares_SP[s]) for name, (mean_SP, squares_SP) in factors.items()
        }
        for name, values_SP, first_P, confidence in (
            ("proxy", proxy_SP, pool.proxy_PN[:, 0], 0.95),
            ("gold", gold_SP, pool.gold_PN[:, 0], 1 - 0.05 / (len(ns) - 1)),
        ):
            if len(first_P) > 1 and np.ptp(first_P) > 0:
                unit = np.std(first_P, ddof=1)
                rows[-1] |= _interval(f"{name}/score_sd_units", (values_SP[s] - values_SP[0]) / unit, 0.95)
                rows[-1] |= _interval(f"{name}/to_end_sd_units", (values_SP[-1] - values_SP[s]) / unit, confidence)
    return rows


def _spread(mean_P: np.ndarray, mean_of_squares_P: np.ndarray) -> float:
    """Standard deviation of the best of n, over prompts and draws."""
    return math.sqrt(max(float(mean_of_squares_P.mean() - mean_P.mean() ** 2), 0.0))


def _interval(name: str, values_P: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = mean_interval(values_P, confidence)
    return {name: float(values_P.mean()), f"{name}_low": low, f"{name}_high": high}


@dataclass
class Given:
    """A sampler whose completions are there already, one for each of the first prompts; each process has its share."""

    rows: Sequence[Tensor]
    ended: Sequence[bool]
    pad_id: int
    temperature: float
    max_new_tokens: int

    @property
    def importance_clip(self) -> None:
        """Whoever drew, nothing is learnt from them by weight."""
        return None

    def check(self) -> None:
        """They are there."""

    def draw(self, policy: Any, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]) -> Drawn:
        """The given ones, whatever the seeds."""
        mine = processes.share(len(self.rows))
        rows, ended = self.rows[mine], self.ended[mine]
        assert len(seeds) == len(rows)
        mask_BT = torch.arange(self.max_new_tokens) < torch.tensor([len(row) for row in rows])[:, None]
        ids_BT = torch.full(mask_BT.shape, self.pad_id)
        ids_BT[mask_BT] = torch.cat(list(rows))
        return Drawn(ids_BT, mask_BT, torch.tensor(ended))


class BestOfN:
    """Writes the rows of a run; `paths` are those of cell.recipes()."""

    def __init__(
        self, cell: Cell, assembly: Assembly, paths: Mapping[str, Path], directory: RunDirectory, tracker: Tracker
    ) -> None:
        self.cell, self.assembly, self.paths, self.directory, self.tracker = cell, assembly, paths, directory, tracker

    def run(self) -> tuple[PreTrainedModel, dict[str, float]]:
        """The policy to export and the final measurement. The start policy and the best of N are measured on the same
        held-out prompts; where a policy is distilled, it is that one which is measured and exported."""
        held_out, settings = self.assembly.held_out, self.cell.settings.evaluation
        recipes = self.cell.pools()
        pool = self._scored(recipes["heldout"])
        num_samples, num_prompts = recipes["heldout"].pool.num_samples, len(pool.gold_PN)
        rows = curve(pool)
        for row in rows:
            self.directory.append(METRICS, [{"step": int(row["bon/n"]), "split": "bon", **row}])
            self.tracker.log(int(row["bon/n"]), row, "bon")
        named = {"bon/n": "n", "proxy/score": "proxy_score", "gold/score": "gold_score"}
        write_curve(self.directory.path / CURVE, [{new: row[old] for old, new in named.items()} for row in rows])
        self._measured(0, held_out.evaluate(held_out.start, num_prompts))
        if "train" in recipes:
            policy = on_device(with_critic(self.distilled(recipes["train"]), "none"))
            self._measured(num_samples, held_out.evaluate(policy, num_prompts))
            final = held_out.evaluate(policy, settings.final_num_prompts)
            self.directory.write_rows(FINAL_SAMPLES, final_rows(num_samples, final))
            return policy, measure_all(final)
        chosen = held_out.evaluate(held_out.start, num_prompts, self._winners(pool))
        known = {name: value for name, value in rows[-1].items() if name.startswith(("objective/kl", "objective/sqrt"))}
        known |= {name: value for name, value in rows[-1].items() if name.startswith("gold/score_sd_units")}
        self.directory.write_rows(FINAL_SAMPLES, final_rows(num_samples, chosen))
        return held_out.start, self._measured(num_samples, chosen, known, NOT_KNOWN)

    def _measured(
        self, step: int, evaluation: Any, known: dict[str, float] | None = None, without: Sequence[str] = ()
    ) -> dict[str, float]:
        """A held-out row, in which what is `known` of best-of-n stands for what the sampling policy's numbers say."""
        row = measure_all(evaluation) | (known or {})
        row = {name: value for name, value in row.items() if name not in without}
        num = self.cell.settings.evaluation.num_samples
        self.directory.append(SAMPLES, sample_rows(step, evaluation, num))
        self.directory.append(METRICS, [{"step": step, "split": "heldout", **row}])
        self.tracker.log(step, row, "heldout")
        return row

    def _scored(self, recipes: PoolRecipes) -> ScoredPool:
        proxy, seed = self.assembly.actors.proxy, self.cell.settings.data_seed
        return scored_pool(recipes, self.paths, proxy, self.cell.regularizer, seed)

    def _winners(self, pool: ScoredPool) -> Given:
        best_P, sampler = winners(pool.chosen_by_PN), self.cell.sampler
        rows, num = pool.drawn.rows(), pool.gold_PN.shape[1]
        places = [p * num + int(k) for p, k in enumerate(best_P)]
        ended = [bool(pool.drawn.ended_B[i]) for i in places]
        pad_id = self.assembly.held_out.prompts.pad_id
        return Given([rows[i] for i in places], ended, pad_id, sampler.temperature, sampler.max_new_tokens)

    def distilled(self, recipes: PoolRecipes) -> PreTrainedModel:
        """SFT policy 0 fine-tuned on each training prompt's winner, ids as they were drawn, with the numbers of `sft`."""
        cell, settings = self.cell, self.cell.settings
        best = self._winners(self._scored(recipes))
        prompts = recipes.pool.encoded(settings.data_seed)
        if cut := best.ended.count(False):
            log.warning("distillation: %d of %d winners were cut off at the length limit", cut, len(best.rows))
        rows = [
            {"input_ids": [*ids, *row.tolist()], "completion_mask": [0] * len(ids) + [1] * len(row)}
            for ids, row in zip(prompts.ids, best.rows, strict=True)
        ]
        training = replace(
            recipes.pool.policy.training(settings.data_seed),
            name="distilled policy",
            learning_rate_key="sft.learning_rate",
            seed=seed_of("distilled policy", settings.seed),
        )
        lora = cell.model.lora("CAUSAL_LM")
        training_context = cell.training_context(self.directory.path / "checkpoints")
        policy = cell.model.policy(self.assembly.start)
        trained = fit_policy(policy, cell.model.tokenizer(), rows, lora, training, training_context)
        policy = cell.model.policy(self.assembly.start)  # TRL leaves a forward of its own in the model that it trained
        policy.load_state_dict(trained.state_dict())
        return policy.requires_grad_(False).eval()
