"""Best-of-n: the estimator against brute force over all subsets, its ties, its files, and where the regulariser enters."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from rlx.optimizer.bon import (
    ascending,
    expected_best,
    kl_bon,
    log_weights,
    penalised,
    sizes,
    winners,
    write_curve,
)
from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL


def brute_force(scores: np.ndarray, values: np.ndarray, n: int) -> float:
    """Mean over all subsets of size n of the value of the highest score; of equals, the first drawn."""
    found = [
        values[max(subset, key=lambda i: (scores[i], -i))] for subset in itertools.combinations(range(len(scores)), n)
    ]
    return float(np.mean(found))


@pytest.mark.parametrize("num_samples", range(1, 9))
def test_the_estimator_is_the_mean_over_all_subsets_ties_included(num_samples):
    rng = np.random.default_rng(num_samples)
    scores = np.stack([rng.normal(size=num_samples), rng.integers(0, 3, num_samples).astype(float)])
    values = rng.normal(size=(2, 2, num_samples))
    ns = list(range(1, num_samples + 1))
    estimated = expected_best(scores, values, ns)
    wanted = [[[brute_force(scores[p], values[k, p], n) for p in range(2)] for n in ns] for k in range(2)]
    assert np.abs(estimated - np.array(wanted)).max() < 1e-12


def test_best_of_one_is_the_mean_and_best_of_all_the_gold_of_the_proxys_favourite():
    proxy, gold = np.array([[3.0, 1.0, 2.0]]), np.array([[[10.0, 20.0, 60.0]]])
    assert expected_best(proxy, gold, [1, 3]).ravel().tolist() == pytest.approx([30.0, 10.0], abs=1e-14)


@pytest.mark.parametrize("n", [1, 2, 16, 1000, 8192, 12500, 12600])
def test_weights_of_the_papers_pool_sum_to_one(n):
    weights = np.exp(log_weights(12600, n))
    assert weights.sum() == pytest.approx(1, abs=1e-11)
    assert np.isfinite(weights).all() and (weights[: n - 1] == 0).all()


def test_weights_of_the_papers_pool_are_the_exact_binomials():
    """Exact integers divided once, at the top, in the middle and where the weight is small."""
    for n, i in ((16, 12600), (16, 6000), (12500, 12550), (256, 12000)):
        exact = math.comb(i - 1, n - 1) / math.comb(12600, n)
        assert math.exp(log_weights(12600, n)[i - 1]) == pytest.approx(exact, rel=1e-11)


def test_the_best_of_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"n=9 .* N=8"):
        log_weights(8, 9)


def test_the_expected_best_score_never_falls_with_n():
    scores = np.random.default_rng(0).integers(0, 5, (4, 40)).astype(float)
    best = expected_best(scores, scores[None], range(1, 41))[0]
    assert (np.diff(best, axis=0) >= -1e-12).all()


def test_gold_that_the_proxy_knows_nothing_of_stays_flat():
    rng = np.random.default_rng(1)
    curve = expected_best(rng.normal(size=(400, 64)), rng.normal(size=(1, 400, 64)), [1, 8, 64])[0].mean(1)
    assert np.abs(curve).max() < 4 / math.sqrt(400)


def test_of_equal_scores_the_first_drawn_wins():
    scores = np.array([[1.0, 2.0, 2.0, 0.0]])
    assert ascending(scores).tolist() == [[3, 0, 2, 1]]
    assert winners(scores).tolist() == [1] and winners(np.zeros((1, 5))).tolist() == [0]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        winners(np.array([[0.0, math.nan]]))


def test_kl_of_best_of_n():
    """log n - (n - 1) / n: 0, 0.1931, 1.2044, 4.5491, 8.4336."""
    assert [round(kl_bon(n), 4) for n in (1, 2, 8, 256, 12500)] == [0.0, 0.1931, 1.2044, 4.5491, 8.4336]
    assert all(kl_bon(n + 1) > kl_bon(n) for n in range(1, 50))


def test_the_curve_has_the_powers_of_two_and_n_itself():
    assert sizes(8) == [1, 2, 4, 8] and sizes(12) == [1, 2, 4, 8, 12] and sizes(2) == [1, 2] and sizes(1) == [1]


def test_the_curve_is_written_as_the_reference_code_writes_it(tmp_path):
    rows = [{"n": 1, "proxy_score": 0.1, "gold_score": -0.25}, {"n": 4, "proxy_score": 1 / 3, "gold_score": 0.5}]
    write_curve(tmp_path / "bon.json", [row | {"more": 1} for row in rows])
    assert json.loads((tmp_path / "bon.json").read_text()) == rows


KL_HALF = KL(beta=0.5, target=None, horizon=1e4)
CHI2_HALF = Chi2(beta=0.5, root=False, max_log_ratio=10.0, floor=1e-4, target=None, horizon=1e4)


def chosen(regularizer, logps, ref_logps, beta: float) -> int:
    """Of two completions of one token, scores 0 and 1, the one with the highest penalised score."""
    mask = torch.ones(2, 1, dtype=torch.bool)
    penalty = regularizer.penalty(torch.tensor(logps)[:, None], torch.tensor(ref_logps)[:, None], mask).sum(-1)
    return int(winners(penalised(torch.tensor([[0.0, 1.0]]), penalty[None], beta).double().numpy())[0])


def test_the_regulariser_enters_the_choice():
    """Completion 1 scores 1 more but the reference finds it e^4 less likely: KL takes 0.5 x 4 = 2 off, chi2 takes
    0.5 x 2 (e^4 - 1) = 53.6 off. Without beta it wins."""
    for regularizer, less in ((KL_HALF, 2.0), (CHI2_HALF, math.e**4 - 1)):
        assert chosen(regularizer, [-1.0, -1.0], [-1.0, -5.0], beta=0.0) == 1
        assert chosen(regularizer, [-1.0, -1.0], [-1.0, -5.0], beta=0.5) == 0
        penalty = regularizer.penalty(torch.tensor([[-1.0]]), torch.tensor([[-5.0]]), torch.tensor([[True]]))
        assert penalised(torch.tensor(1.0), penalty.sum(), 0.5).item() == pytest.approx(1 - less, rel=1e-5)


@pytest.mark.parametrize("regularizer", [KL_HALF, CHI2_HALF], ids=["kl", "chi2"])
def test_a_reference_that_is_the_policy_penalises_nothing(regularizer):
    assert chosen(regularizer, [-1.0, -7.0], [-1.0, -7.0], beta=1e6) == 1
