"""A run that kept an earlier step: the page is about that policy, not about the last one."""

import json

from rlx.reporting.evidence import gather
from rlx.reporting.rendering import render
from rlx.reporting.verdict import verdict
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def test_a_kept_step_is_shown_with_both_halves_and_its_own_texts(tmp_path):
    kept = {"keep_best/step": 40.0}
    write_run(tmp_path, kind="hacked")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for row in lines:
        if row["split"] == "heldout":
            for half, gain in (("selection", 0.5), ("report", 0.4)):
                name = f"keep_best/{half}_sd_units"
                row |= {name: gain - row["step"] / 1000, f"{name}_low": 0.1, f"{name}_high": 0.9}
        if row["split"] == "heldout" and row["step"] == 40:
            kept |= {name: value for name, value in row.items() if name.startswith("keep_best/")}
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps(summary | kept))
    record = load_record(tmp_path)
    page = render(record, [])
    assert "The step that was kept" in page
    assert "step 40, kept" in page and "0.46 [0.10, 0.90]" in page and "0.36 [0.10, 0.90]" in page
    assert "0.42 [0.10, 0.90]" in page and "0.32 [0.10, 0.90]" in page  # of the last step, 80
    assert "This is the policy of step 40 of 80" in page and "After 40 steps" in page
    judged = verdict(gather(record))
    assert "over-optimised" not in judged.headline  # the training was, the kept policy need not be
    assert any(sentence.startswith("Of the training as a whole: gold was highest") for sentence in judged.sentences)
