import math

import numpy as np
import pytest
import torch

from rlx.metric.divergence import chi2, kl, log_ratios, measure
from rlx.regularizer.chi2 import Chi2
from tests.metric.enumerable import CHI2, KL, evaluation


def test_kl_and_chi2_of_a_frequency_exact_sample_are_the_enumerated_sums():
    # 5, 6 and 9 of 20 draws are exactly p = .25, .3, .45, so the sample means are the expectations.
    metrics = measure(evaluation(np.repeat([0, 1, 2], [5, 6, 9])))
    assert metrics["objective/kl"] == pytest.approx(KL, abs=1e-12)
    # E_p[r + 1/r - 2]: r = .5, 1.2, 1.8. E_p[1/r] = sum q = 1, so it is chi2 itself.
    assert metrics["objective/chi2"] == pytest.approx(CHI2, abs=1e-12)
    assert metrics["objective/sqrt_kl"] == pytest.approx(math.sqrt(KL), abs=1e-12)


def test_monte_carlo_estimates_come_to_the_exact_divergences():
    draws = np.random.default_rng(0).choice(3, size=20_000, p=[0.25, 0.3, 0.45])
    metrics = measure(evaluation(draws))
    assert metrics["objective/kl"] == pytest.approx(KL, abs=4 * 0.5 / math.sqrt(20_000))  # sd of L is .48
    assert metrics["objective/chi2"] == pytest.approx(CHI2, abs=0.012)
    assert metrics["objective/chi2_low"] < CHI2 < metrics["objective/chi2_high"]
    assert metrics["objective/chi2"] > math.expm1(metrics["objective/kl"]) > metrics["objective/kl"]  # Jensen


def test_a_policy_that_is_its_reference_has_no_divergence_at_all():
    metrics = measure(evaluation(np.array([0, 1, 2])))
    assert metrics["objective/kl_start"] == metrics["objective/sqrt_kl_start"] == 0.0
    assert metrics["objective/chi2_clip_fraction"] == 0.0
    assert all(value == 0.0 for value in chi2(torch.zeros(3)).values())


def test_masked_positions_are_not_read():
    L_B = log_ratios(torch.tensor([[1.0, torch.nan]]), torch.tensor([[0.5, 7.0]]), torch.tensor([[True, False]]))
    assert L_B.tolist() == [0.5]


def test_a_negative_estimate_of_kl_is_kept_and_its_root_is_zero():
    one_draw = np.array([0])  # L = log(.25 / .5)
    metrics = measure(evaluation(one_draw))
    assert metrics["objective/kl"] == pytest.approx(-math.log(2))
    assert metrics["objective/sqrt_kl"] == 0.0


def test_a_ratio_beyond_the_limit_is_finite_and_counted():
    row = chi2(torch.tensor([12.0, 0.0, 0.0, -1000.0], dtype=torch.float64))
    assert row["objective/chi2_clip_fraction"] == 0.5
    assert math.isfinite(row["objective/chi2"])


def test_the_measurement_and_the_regulariser_agree_on_the_estimate():
    L_B = torch.tensor([5.0, 6.0, 0.1], dtype=torch.float64)
    regularizer = Chi2(beta=0.1, root=False, max_log_ratio=10, floor=1e-4, target=None, horizon=500)
    rows = L_B[:, None], torch.zeros(3, 1), torch.ones(3, 1, dtype=torch.bool)
    assert chi2(L_B)["objective/chi2"] == pytest.approx(regularizer.divergence(*rows).mean().item())


def test_kl_is_the_mean_over_completions_not_over_tokens():
    assert kl(torch.tensor([1.0, 3.0])) == 2.0
