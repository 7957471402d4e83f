import json

import pytest

from rlx.core.error import UserError
from rlx.run.record import load_record


def write(run_dir, rows, config="evaluation: {num_prompts: 4}\n"):
    (run_dir / "config.yaml").write_text(config)
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_record(run_dir)


def row(step, gold, **more):
    return {"step": step, "split": "heldout", "gold/score": gold, "gold/std": 2.0, **more}


def test_of_two_rows_of_one_step_the_last_counts_and_steps_ascend(tmp_path):
    record = write(tmp_path, [row(10, 1.0), row(0, 5.0), row(10, 2.0)])
    assert [(r["step"], r["gold/score"]) for r in record.heldout] == [(0, 5.0), (10, 2.0)]


def test_gold_is_standardised_by_the_row_of_the_start(tmp_path):
    score = write(tmp_path, [row(0, 1.0), row(10, 4.0)]).standardised("gold")
    assert score is not None
    assert score.values.tolist() == [0.0, 1.5]  # (4 - 1) / 2
    assert score.errors.tolist() == [0.5, 0.5]  # 2 / sqrt(4) in units of 2
    assert score.high[1] == pytest.approx(1.5 + 1.96 * 0.5)


def test_a_measured_gain_and_its_bounds_come_before_computed_ones(tmp_path):
    gain = {"gold/score_sd_units": 1.4, "gold/score_sd_units_low": 1.2, "gold/score_sd_units_high": 1.7}
    score = write(tmp_path, [row(0, 1.0), row(10, 4.0, **gain)]).standardised("gold")
    assert score is not None
    assert (score.values[1], score.low[1], score.high[1]) == (1.4, 1.2, 1.7)


def test_without_the_start_or_its_spread_nothing_is_standardised(tmp_path):
    assert write(tmp_path, [row(10, 1.0), row(20, 4.0)]).standardised("gold") is None
    assert write(tmp_path, [{**row(0, 1.0), "gold/std": 0.0}, row(20, 4.0)]).standardised("gold") is None


def test_a_number_that_was_not_finite_is_a_gap_in_its_series(tmp_path):
    record = write(tmp_path, [row(0, 1.0), row(10, None), row(20, 3.0)])
    score, (steps, values) = record.standardised("gold"), record.series("heldout", "gold/score")
    assert score is not None and score.steps.tolist() == [0, 20]
    assert (steps.tolist(), values.tolist()) == ([0, 20], [1.0, 3.0])


def test_factors_are_what_is_measured_under_gold_and_is_no_metric(tmp_path):
    assert write(
        tmp_path, [row(0, 1.0, **{"gold/topic": 0.5, "gold/win_rate": 0.5, "gold_std/topic": 0.1})]
    ).factors == ["topic"]


def test_the_choice_that_the_user_typed_comes_before_the_file_of_its_class(tmp_path):
    config = "reward: {_target_: rlx.reward.warm.WARM}\nmodel: {_target_: rlx.model.pretrained.Pretrained}\n"
    record = write(tmp_path, [], config + "choices: {model: gemma_2b}\n")
    assert (record.choice("reward"), record.choice("model"), record.choice("world")) == ("warm", "gemma_2b", None)


def test_a_config_that_is_not_yaml_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"config\.yaml is not YAML"):
        write(tmp_path, [], "a: [1\n")
