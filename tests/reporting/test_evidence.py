import json

import pytest

from rlx.reporting.evidence import gather
from rlx.reporting.verdict import verdict
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def evidence_of(run_dir, **kind):
    found = gather(load_record(write_run(run_dir, **kind)))
    assert found is not None
    return found


def test_the_peak_and_the_changes_since_it_are_those_of_the_rows(tmp_path):
    found = evidence_of(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    heldout = [row for row in rows if row["split"] == "heldout"]
    peak = max(heldout, key=lambda row: row["gold/score_sd_units"])
    assert found.peak_step == peak["step"] == 30
    assert found.since_peak_gold is not None and found.since_peak_gold.high is not None
    assert found.since_peak_gold.value == pytest.approx(
        heldout[-1]["gold/score_sd_units"] - peak["gold/score_sd_units"]
    )
    assert found.since_peak_gold.high < 0


def test_the_interval_of_a_fall_is_wider_than_one_of_a_step_chosen_beforehand(tmp_path):
    found = evidence_of(tmp_path)
    assert found.since_peak_gold is not None and found.since_peak_proxy is not None
    assert found.since_peak_gold.low is not None and found.since_peak_gold.high is not None
    # eight candidates: 99.4 % in place of 95 %, 2.73 standard errors in place of 1.96. sd of a difference is about
    # sqrt(2) 1.1 of a unit of 1.5, so one standard error over 128 prompts is about 0.09.
    assert found.since_peak_gold.high - found.since_peak_gold.low == pytest.approx(2 * 2.73 * 0.09, rel=0.2)


def test_without_all_prompts_samples_the_interval_is_the_wider_one_of_independent_means(tmp_path):
    paired, unpaired = evidence_of(tmp_path / "all"), evidence_of(tmp_path / "few", num_samples=6)
    assert paired.since_peak_gold and unpaired.since_peak_gold
    assert paired.since_peak_gold.value == unpaired.since_peak_gold.value
    rows = {row["step"]: row for row in load_record(tmp_path / "few").heldout}
    error = (rows[80]["gold/std"] ** 2 + rows[30]["gold/std"] ** 2) ** 0.5 / 128**0.5 / rows[0]["gold/std"]
    low = unpaired.since_peak_gold.value - 2.734 * error  # the normal quantile of 1 - 0.05 / 8 / 2
    assert unpaired.since_peak_gold.low == pytest.approx(low, abs=1e-3)
    assert low < (paired.since_peak_gold.low or 0)


@pytest.mark.parametrize(("kind", "tone"), [("hacked", "worse"), ("better", "better"), ("flat", "unclear")])
def test_three_kinds_of_run_get_their_verdict(tmp_path, kind, tone):
    found = verdict(evidence_of(tmp_path, kind=kind))
    assert found.tone == tone
    assert ("over-optimised" in found.headline) == (kind == "hacked")


def test_a_run_that_was_measured_once_gives_no_verdict(tmp_path):
    found = evidence_of(tmp_path, done_steps=0, state="failed")
    assert (found.finished, found.proxy, found.peak_step) == (False, None, None)
    assert verdict(found).tone == "unclear"


def test_a_directory_without_rows_has_no_evidence(tmp_path):
    write_run(tmp_path, state="failed")
    (tmp_path / "metrics.jsonl").unlink()
    assert gather(load_record(tmp_path)) is None
