import math
import sys
from pathlib import Path

import numpy as np
import torch

import rlx.metric
from rlx.metric import battery
from rlx.metric.battery import measure_all, measurements
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


def test_every_module_with_a_function_measure_is_run_in_the_order_of_names():
    folder = Path(battery.__file__).parent
    having = sorted(path.stem for path in folder.glob("*.py") if "\ndef measure(" in path.read_text())
    assert list(measurements()) == having and {"score", "win_rate", "factors"} <= set(having)


def test_a_row_is_sorted_by_name():
    row = measure_all(evaluation(np.array([0, 1, 2, 1])))
    assert list(row) == sorted(row)


def test_a_metric_is_added_with_one_file(tmp_path, monkeypatch):
    (tmp_path / "vowels.py").write_text("def measure(evaluation):\n    return {'completions/vowels': 3.0}\n")
    (tmp_path / "arithmetic.py").write_text("def mean(values):\n    return sum(values) / len(values)\n")
    monkeypatch.setattr(rlx.metric, "__path__", [*rlx.metric.__path__, str(tmp_path)])
    before = set(measurements())
    measurements.cache_clear()
    try:
        assert set(measurements()) - before == {"vowels"}
        assert measure_all(evaluation(np.array([0, 1])))["completions/vowels"] == 3.0
    finally:
        measurements.cache_clear()
        for name in ("vowels", "arithmetic"):
            sys.modules.pop(f"rlx.metric.{name}", None)
