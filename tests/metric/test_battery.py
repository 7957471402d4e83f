import math

import numpy as np
import torch

from rlx.metric.battery import measure_all
from tests.metric.enumerable import evaluation

NAMES = (
    "proxy/score proxy/score_std gold/score gold/score_sd_units gold/std objective/kl objective/sqrt_kl objective/chi2 "
    "objective/chi2_clip_fraction objective/kl_start objective/sqrt_kl_start objective/entropy completions/mean_length "
    "completions/eos_rate ensemble/member_0 ensemble/member_1 ensemble/std gold/win_rate gold/win_rate_low "
    "gold/win_rate_high gold/grammar"
)


def test_every_promised_name_is_measured():
    row = measure_all(evaluation(np.array([0, 1, 2, 1])))
    assert set(NAMES.split()) <= row.keys()
    assert all(isinstance(value, float) and math.isfinite(value) for value in row.values())


def test_the_same_evaluation_gives_the_same_bits():
    assert measure_all(evaluation(np.array([0, 1, 2, 1]))) == measure_all(evaluation(np.array([0, 1, 2, 1])))


def test_a_number_that_is_not_finite_is_left_out_and_named(caplog):
    row = measure_all(evaluation(np.array([0, 1]), entropy_BT=torch.full((2, 2), torch.nan)))
    assert "objective/entropy" not in row
    assert "objective/entropy is nan" in caplog.text
