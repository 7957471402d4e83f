"""The choice of a step on one half of the prompts, and what a resumed run finds of it on disk."""

import numpy as np
import pytest
import torch

from rlx.artefact.training_state import mark
from rlx.core.error import UserError
from rlx.core.world import Prompt
from rlx.experiment.keep_best import BestPolicy, half_that_chooses, halves
from tests.metric.enumerable import evaluation

PROMPTS = [Prompt(f"lab-{i:04d}", "") for i in range(127)]


def test_half_of_the_prompts_chooses_whatever_their_order():
    chooses = half_that_chooses(PROMPTS)
    assert len(chooses) == 63
    assert chooses == half_that_chooses(PROMPTS[::-1])
    first = sum(prompt.id in chooses for prompt in PROMPTS[:64])
    assert 16 < first < 48  # no half of the file


def test_three_prompts_have_no_two_halves():
    with pytest.raises(UserError, match="there are 3: give at least 4"):
        half_that_chooses(PROMPTS[:3])


def test_each_half_has_its_own_gold_in_one_common_unit():
    measured = evaluation(np.array([0, 1, 2, 1]), start_gold_B=np.array([0.0, 0.0, 2.0, 2.0]))
    row = halves(measured, frozenset({"1", "2"}))
    assert (row["keep_best/selection_gold"], row["keep_best/report_gold"]) == (1.5, 0.5)
    sd = np.std([0, 0, 2, 2], ddof=1)
    assert row["keep_best/selection_sd_units"] == pytest.approx((1 + 0) / 2 / sd)
    assert row["keep_best/report_sd_units"] == pytest.approx((0 - 1) / 2 / sd)
    assert row["keep_best/report_sd_units_low"] <= row["keep_best/report_sd_units"]


def test_a_start_without_spread_has_no_standard_deviations():
    row = halves(evaluation(np.array([0, 1, 2, 1]), start_gold_B=np.zeros(4)), frozenset({"1", "2"}))
    assert row.keys() == {"keep_best/selection_gold", "keep_best/report_gold"}


def test_the_half_that_chooses_is_optimistic_and_the_other_is_not():
    """Ten evaluations of a policy that never changes: the best of them looks better than it is, on its own half alone."""
    rng = np.random.default_rng(0)
    selection, report = [], []
    for _ in range(200):
        gold_SB = rng.normal(0, 1, (10, 64))
        start, chooses = np.zeros(64), frozenset(map(str, range(32)))  # no spread: no bootstrap, which takes long
        measured = [evaluation(np.zeros(64, int), gold_B=gold_B, start_gold_B=start) for gold_B in gold_SB]
        rows = [halves(one, chooses) for one in measured]
        best = max(rows, key=lambda row: row["keep_best/selection_gold"])
        selection.append(best["keep_best/selection_gold"])
        report.append(best["keep_best/report_gold"])
    assert np.mean(selection) > 0.2  # 1.54 standard errors of 1 / sqrt(32)
    assert abs(np.mean(report)) < 0.05


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2,), value)}


def row(gold: float) -> dict[str, float]:
    return {"keep_best/selection_gold": gold, "gold/score": 9.0}


def checkpoint(folder, step: int) -> None:
    path = folder / "checkpoints" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    mark(path, step, "whole")


def kept(folder) -> list[str]:
    return sorted(path.name for path in (folder / "best").iterdir())


def test_only_a_higher_step_replaces_the_best(tmp_path):
    best = BestPolicy(tmp_path)
    best.resume(-1)
    assert best.improves(row(-3.0))
    best.keep(0, row(-3.0), weights(0))
    assert not best.improves(row(-3.0)) and best.improves(row(-2.0))
    best.keep(10, row(-2.0), weights(1))
    assert kept(tmp_path) == ["step-10.safetensors"]
    assert best.weights()["w"].tolist() == [1.0, 1.0]
    assert best.row == {"keep_best/selection_gold": -2.0, "keep_best/step": 10.0}


def test_a_resumed_run_has_the_best_up_to_its_checkpoint_and_forgets_what_it_will_do_again(tmp_path):
    best = BestPolicy(tmp_path)
    best.keep(0, row(1.0), weights(0))
    best.keep(10, row(2.0), weights(1))
    checkpoint(tmp_path, 15)
    best.keep(20, row(3.0), weights(2))
    best.keep(30, row(4.0), weights(3))
    assert kept(tmp_path) == ["step-10.safetensors", "step-30.safetensors"]
    (tmp_path / "best" / ".step-40.safetensors.1.part").write_text("a file that was being written")
    again = BestPolicy(tmp_path)
    again.resume(15)
    assert kept(tmp_path) == ["step-10.safetensors"]
    assert again.row == {"keep_best/selection_gold": 2.0, "keep_best/step": 10.0}
    assert again.improves(row(2.5)) and again.weights()["w"].tolist() == [1.0, 1.0]


def test_a_run_that_begins_again_knows_no_best(tmp_path):
    BestPolicy(tmp_path).keep(10, row(2.0), weights(1))
    again = BestPolicy(tmp_path)
    again.resume(-1)
    assert again.improves(row(-5.0)) and not kept(tmp_path)


def test_weights_that_are_gone_are_missed_before_training_goes_on(tmp_path):
    with pytest.raises(UserError, match=r"no weights of a step up to 15.*delete .*checkpoints"):
        BestPolicy(tmp_path).resume(15)
