"""`optimizer=bon` from nothing to a report on a miniature of the lab, for every reward, reference and regulariser."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_train import MINIATURE
from transformers import AutoModelForCausalLM

from rlx.cli import main
from rlx.experiment.best_of_n import Given, curve
from rlx.experiment.pools import ScoredPool
from rlx.optimizer.bon import kl_bon
from rlx.supervised.pool import DrawnPool

NUM_SAMPLES = 8
CELLS = [
    ("single", "frozen", "kl"),
    ("ensemble_wco", "soup", "kl"),
    ("ensemble_uwo", "frozen", "chi2"),
    ("warm", "soup", "chi2"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(cache, tmp_path, monkeypatch):
    """train(*overrides): the directory of a best-of-n run; all tests here share a store."""
    monkeypatch.setenv("RLX_CACHE", str(cache))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> Path:
        before = set((tmp_path / "runs").glob("*"))
        assert main(["train", "optimizer=bon", f"optimizer.num_samples={NUM_SAMPLES}", *MINIATURE, *overrides]) == 0
        (made,) = set((tmp_path / "runs").glob("*")) - before
        return made

    return run


def rows(run: Path, split: str) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


@pytest.mark.parametrize(("reward", "reference", "regularizer"), CELLS)
def test_a_cell_of_the_grid_leaves_a_curve_and_moves_no_weight(reward, reference, regularizer, train, cache):
    members = [] if reward == "single" else ["reward.num_members=2"]
    run = train(f"reward={reward}", f"reference={reference}", f"regularizer={regularizer}", *members)
    along = rows(run, "bon")
    assert [row["step"] for row in along] == [1, 2, 4, 8] and not rows(run, "train")
    assert [row["step"] for row in rows(run, "heldout")] == [0, NUM_SAMPLES]
    chosen_by = [row["objective/rlhf_reward"] for row in along]
    assert chosen_by == sorted(chosen_by) and chosen_by[-1] > chosen_by[0]
    assert (chosen_by == [row["proxy/score"] for row in along]) == (reference == "frozen")  # no penalty of itself
    for row in along:
        assert row["objective/kl_start"] == kl_bon(row["step"])
        assert (row["objective/kl"] == row["objective/kl_start"]) == (reference == "frozen")
    assert [row["gold_score"] for row in json.loads((run / "bon.json").read_text())] == [
        row["gold/score"] for row in along
    ]

    # What was measured of the chosen texts is what the pool says of the best of N.
    summary = json.loads((run / "summary.json").read_text())
    assert summary["gold/score"] == pytest.approx(along[-1]["gold/score"], abs=1e-9)
    assert summary["proxy/score"] == pytest.approx(along[-1]["proxy/score"], abs=1e-4)
    assert summary["gold/win_rate_low"] <= summary["gold/win_rate"] <= summary["gold/win_rate_high"]
    assert "objective/entropy" not in summary and "objective/chi2" not in summary

    provenance = json.loads((run / "provenance.json").read_text())
    start = load_file(cache / provenance["artefacts"]["SFT policy 0"] / "model.safetensors")
    model, info = AutoModelForCausalLM.from_pretrained(run / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert all(torch.equal(x, start[name]) for name, x in model.state_dict().items() if name in start)
    page = (run / "report.html").read_text()
    assert "Best of 8" in page and "data:image/png;base64," in page and "steps" not in page.split("The whole config")[0]
    assert "start policy, unchanged" in (run / "model" / "README.md").read_text()


def test_rewards_share_one_pool_and_ensembles_the_scores_of_their_members(train, cache):
    train("reward=ensemble_mean", "reward.num_members=2")
    before = {path.name for path in cache.iterdir() if path.name.startswith("Pool") and path.is_dir()}
    train("reward=ensemble_uwo", "reward.num_members=2", "reward.coefficient=3")
    assert {path.name for path in cache.iterdir() if path.name.startswith("Pool") and path.is_dir()} == before
    train("reward=gold")
    assert {path.name for path in cache.iterdir() if path.name.startswith("Pool") and path.is_dir()} == before


def test_best_of_n_by_gold_itself_raises_gold_with_every_n(train):
    gold = [row["gold/score"] for row in rows(train("reward=gold"), "bon")]
    assert gold == sorted(gold) and gold[-1] > gold[0]


def test_a_distilled_policy_is_trained_measured_and_exported(train, cache):
    run = train("optimizer.distill=true", "optimizer.num_distilled=96")
    provenance = json.loads((run / "provenance.json").read_text())
    assert {"training pool", "training pool, reward model 0"} <= provenance["artefacts"].keys()
    start = load_file(cache / provenance["artefacts"]["SFT policy 0"] / "model.safetensors")
    made = load_file(run / "model" / "model.safetensors")
    assert made.keys() == start.keys() and any(not torch.equal(made[name], start[name]) for name in start)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["evaluation/num_prompts"] == 16 and summary["objective/kl_start"] != kl_bon(NUM_SAMPLES)
    assert "Distilled from the best of 8" in (run / "report.html").read_text()
    assert "unchanged" not in (run / "model" / "README.md").read_text()


def pool_of(proxy_PN, gold_PN) -> ScoredPool:
    proxy, gold = np.array(proxy_PN, dtype=float), np.array(gold_PN, dtype=float)
    drawn = DrawnPool(torch.zeros(proxy.size), torch.ones(proxy.size).long(), torch.ones(proxy.size).bool())
    return ScoredPool(drawn, proxy, proxy, None, gold, np.zeros_like(proxy), {"half": gold / 2})


def test_the_curve_is_in_sd_of_first_completions_over_the_mean_of_all():
    """First completions' gold 0 and 2: SD sqrt(2). Means 1 and 3; the proxy's favourites have 2 and 4: both gain 1."""
    first, last = curve(pool_of([[0, 1], [3, 5]], [[0, 2], [2, 4]]))
    assert (first["bon/n"], last["bon/n"]) == (1, 2)
    assert (first["gold/score"], last["gold/score"]) == (2.0, 3.0)
    assert last["gold/score_sd_units"] == pytest.approx(1 / 2**0.5) == first["gold/to_end_sd_units"]
    assert first["gold/score_sd_units"] == 0 == last["gold/to_end_sd_units"]
    assert (first["gold/half"], last["gold/half"]) == (1.0, 1.5)
    assert first["gold/std"] == pytest.approx(2**0.5) and last["gold/std"] == pytest.approx(1)  # of 0 2 2 4; of 2 4


def test_a_pool_without_spread_has_no_standard_deviations():
    row = curve(pool_of([[1, 2], [1, 3]], [[1, 1], [1, 1]]))[-1]
    assert "gold/score_sd_units" not in row and "proxy/score_sd_units" not in row and row["gold/score"] == 1


def test_given_completions_are_drawn_as_they_are():
    drawn = Given([torch.tensor([5, 2]), torch.tensor([7, 7, 7])], [True, False], 0, 1.0, 4).draw(
        None, torch.zeros(2, 3), torch.ones(2, 3), [1, 2]
    )
    assert drawn.ids_BT.tolist() == [[5, 2, 0, 0], [7, 7, 7, 0]] and drawn.ended_B.tolist() == [True, False]
    assert drawn.mask_BT.sum(-1).tolist() == [2, 3]
