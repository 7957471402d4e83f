import json

import pytest
from synthetic_run import write_run

from rlx.reporting.card import model_card
from rlx.reporting.evidence import gather
from rlx.reporting.judges import about_gold, about_limit, about_proxy, about_sample, line, table
from rlx.reporting.rendering import render
from rlx.reporting.verdict import GUESSES, verdict
from rlx.run.record import load_record


def judge(kind, heldout, low=-0.1, high=0.1, **more):
    row = {
        "kind": kind, "accuracy": {"heldout": heldout, "train_flipped": 0.3}, "error": {"heldout": 0.02},
        "interval": {"heldout": [heldout - 0.04, heldout + 0.04]}, "pairs_measured": {"heldout": 116},
        "heldout_prompts": 16, "over_longer": {"value": (low + high) / 2, "low": low, "high": high},
    }  # fmt: skip
    return row | more


LIMIT = {
    split: {"given": 400, "kept": 100, "longer_given": {"value": 0.839}, "longer_kept": {"value": 0.875}}
    for split in ("train", "heldout")
}


def of(tmp_path, *judges):
    run = write_run(tmp_path / "run", num_members=2)
    rows = json.loads((run / "members.json").read_text()) + list(judges)
    (run / "members.json").write_text(json.dumps(rows))
    return load_record(run)


def test_other_judges_are_no_members(tmp_path):
    record = of(tmp_path, judge("mean", 0.73), judge("longer", 0.55))
    assert len(record.members) == 2 and [row["kind"] for row in record.judges] == ["mean", "longer"]


def test_every_judge_has_a_row_with_its_standard_error_and_its_lead_over_the_longer_one(tmp_path):
    headings, rows = table(of(tmp_path, judge("warm", 0.716, 0.11, 0.21), judge("longer", 0.549)))
    named = {row[0]: dict(zip(headings, row, strict=True)) for row in rows}
    assert list(named) == ["member 0", "member 1", "mean of the members' weights (WARM)", "the longer one"]
    warm = named["mean of the members' weights (WARM)"]
    assert warm["held-out pairs"] == "71.6 ± 2.0 %" and warm["training pairs, flipped labels"] == "30.0 %"
    assert warm["held-out, over the longer one"] == "+16.0 [11.0, 21.0]"
    assert named["the longer one"]["held-out, over the longer one"] == ""
    assert named["member 0"]["learning rate"] == "0.001" and warm["learning rate"] == ""


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.08, -0.01, "Gold is worse than that rule (−4.5 [−8.0, −1.0] points): such a gold measures length"),
        (
            -0.08,
            0.02,
            "Gold is not distinguishable from that rule (−3.0 [−8.0, 2.0] points): such a gold measures length",
        ),
        (0.01, 0.09, "It knows more than length: +5.0 [1.0, 9.0] points over that rule."),
        (0.0, 0.0, "Gold is not distinguishable from that rule"),
    ],
)
def test_a_gold_that_is_no_better_than_the_longer_one_measures_length(tmp_path, low, high, said):
    record = of(tmp_path, judge("gold", 0.828, low, high), judge("longer", 0.875))
    assert said in about_gold(record)
    assert "82.8 % [79, 87] of 116 held-out pairs of 16 prompts, the rule “the longer one” in 87.5 %." in about_gold(
        record
    )
    page = render(record, [])
    assert page.index('class="verdict') < page.index(said) < page.index('class="tiles"')


@pytest.mark.parametrize(
    ("accuracy", "said"), [(0.525, "It is not distinguishable from chance: "), (0.44, "It is worse than chance: ")]
)
def test_a_gold_of_chance_means_nothing_whatever_the_longer_one_is(tmp_path, accuracy, said):
    record = of(tmp_path, judge("gold", accuracy), judge("longer", 0.62))
    assert f"{said}neither a gain nor a loss by such a gold means anything." in about_gold(record)
    assert "such a gold measures length" not in about_gold(record)


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("trained", "It was trained from the same base as the reward models that it judges, which makes it the least"),
        (
            "alike",
            "It has the architecture and the size of the reward models that it judges: if they come from one base",
        ),
    ],
)
def test_a_gold_that_may_err_as_the_proxies_do_is_told_with_the_command_for_another(tmp_path, origin, said):
    record = of(tmp_path, judge("gold", 0.7, 0.01, 0.09, origin=origin), judge("longer", 0.6))
    assert said in about_gold(record) and about_gold(record).endswith("rlx evaluate run world.gold=PATH.")
    assert about_gold(record).count("It knows more than length") == 1
    assert said in render(record, [])


def test_a_gold_of_another_shape_or_of_unknown_origin_is_not_suspected(tmp_path):
    for origin in ({"origin": "other"}, {}):
        record = of(tmp_path / str(len(origin)), judge("gold", 0.7, 0.01, 0.09, **origin), judge("longer", 0.6))
        assert "err" not in about_gold(record) and "least independent" not in about_gold(record)


@pytest.mark.parametrize(("accuracy", "guesses"), [(0.525, True), (0.44, True), (0.6, False)])
def test_the_headline_makes_no_claim_by_a_gold_of_chance(tmp_path, accuracy, guesses):
    evidence = gather(of(tmp_path, judge("gold", accuracy), judge("longer", 0.62)))
    assert evidence is not None and evidence.gold_guesses == guesses
    assert (GUESSES in verdict(evidence).headline) == guesses
    source = render(load_record(tmp_path / "run"), [])
    assert (source.index("Gold is a reward model") < source.index("against the start over")) == guesses


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [(0.52, "which is not distinguishable from chance"), (0.4, "which is worse than chance"), (0.7, "")],
)
def test_a_proxy_that_guesses_is_told(tmp_path, accuracy, said):
    record = of(tmp_path, judge("warm", accuracy), judge("mean", 0.9))
    assert record.choice("reward") == "warm"
    told = about_proxy(record)
    assert said in told and bool(told) == bool(said)
    assert told in render(record, []) and told in model_card(record)
    assert about_proxy(of(tmp_path / "other", judge("mean", accuracy))) == ""  # nothing tells what was optimised


def test_a_gold_that_labelled_the_pairs_itself_is_not_spoken_of(tmp_path):
    assert about_gold(of(tmp_path, judge("longer", 0.549, limit=None))) == ""


def test_the_page_says_what_the_length_limit_leaves_out_and_what_that_does(tmp_path):
    record = of(tmp_path, judge("longer", 0.875, limit=LIMIT))
    said = (
        "The length limit leaves out 300 of 400 of the held-out pairs (75 %): the longer one is right in 83.9 % of all and "
        "in 87.5 % of those kept."
    )
    assert about_limit(record)[1] == said and said in render(record, [])


def test_the_line_between_two_members_is_a_table_of_its_own(tmp_path):
    accuracy = {"heldout": 0.7, "train_flipped": 0.3}
    rows = [judge("line", 0.7, weight=w, diagonal=accuracy, scores=accuracy) for w in (0.0, 0.25, 0.5, 0.75, 1.0)]
    record = of(tmp_path, *rows)
    headings, shown = line(record)
    assert [row[0] for row in shown] == ["0", "0.25", "0.5", "0.75", "1"] and len(headings) == len(shown[0]) == 7
    assert len(table(record)[1]) == 2 and "From member 0 to member 1" in render(record, [])


def test_a_page_of_a_run_from_before_judges_were_measured_is_made(tmp_path):
    record = of(tmp_path)
    assert line(record)[1] == [] and about_limit(record) == [] and "From member 0" not in render(record, [])


def test_the_page_says_on_how_many_of_the_training_pairs_judges_are_measured(tmp_path):
    record = of(tmp_path)
    assert about_sample(record) == ""  # of a run from before it was counted
    numbers = {"pairs": 2600, "flipped_pairs": 600, "pairs_measured": {"train_clean": 512, "train_flipped": 600}}
    record.members[0].update(numbers)
    said = "Of the training pairs, judges are measured on 512 of 2,000 with true labels."
    assert about_sample(record) == said and said in render(record, [])
    record.members[0]["pairs_measured"]["train_flipped"] = 512
    assert about_sample(record).endswith("512 of 2,000 with true labels and 512 of 600 with flipped ones.")
    record.members[0]["pairs_measured"] = {"train_clean": 2000, "train_flipped": 600}
    assert about_sample(record) == ""
