import json
from dataclasses import replace

import pytest
from synthetic_run import write_run

from rlx.reporting import importance
from rlx.reporting.figure import importance as figure
from rlx.reporting.figure.gallery import draw_all
from rlx.reporting.rendering import render
from rlx.run.record import load_record

GROUPS = ("topic", "polite", "<b>small</b> words")
SHARES = {"member": ([0.2, 0.7, 0.1], [0.4, 0.5, 0.1]), "warm": ([0.3, 0.6, 0.1],), "gold": ([0.7, 0.1, 0.2],)}


def row(kind, share, index=None):
    named = [dict(zip(GROUPS, values, strict=True)) for values in (share, [0.02] * 3, [-0.1, 0.3, 0.0])]
    primary = [g for g, value in zip(GROUPS, share, strict=True) if value >= 0.2]
    found = {"kind": kind, "share": named[0], "error": named[1], "attribution": named[2], "primary": primary}
    return found | ({} if index is None else {"index": index})


def content(kinds=("member", "warm", "gold"), tau=1 / 3):
    rows = [row(kind, share, i if kind == "member" else None) for kind in kinds for i, share in enumerate(SHARES[kind])]
    agreement = {"tau": tau, "divergence": 0.03, "range": dict(zip(GROUPS, (0.2, 0.2, 0.0), strict=True))}
    agreement["orders"] = {"pairs": 3, "fixed": 1}
    return {"groups": list(GROUPS), "texts": 64, "prompts": 32, "rows": rows, "agreement": agreement}


@pytest.fixture
def record(tmp_path):
    write_run(tmp_path / "run", num_members=2)
    (tmp_path / "run" / "importance.json").write_text(json.dumps(content()))
    return load_record(tmp_path / "run")


def test_the_table_has_a_row_per_model_and_the_groups_in_golds_order(record):
    headings, rows = importance.table(record)
    assert headings == ["model", "topic", "<b>small</b> words", "polite", "primary"]
    assert rows[0] == ["member 0", "20 ± 2 %", "10 ± 2 %", "70 ± 2 %", "topic, polite"]
    assert [cells[0] for cells in rows] == ["member 0", "member 1", "mean of the members' weights (WARM)", "gold"]


def test_the_sentences_name_what_is_primary_and_where_members_and_gold_differ(record):
    assert importance.sentences(record) == [
        "Primary to gold: topic, <b>small</b> words.",
        "Primary to every member: topic, polite. Secondary to every member: <b>small</b> words.",
        "The 2 members do not rank the groups alike (Kendall's tau 0.33, mean over pairs).",
        "They differ most on topic: 20 % to 40 % of the importance.",
        "The consistency property (their scores are too close, on all texts with groups taken out, for another order) fixes 1 of "
        "3 orders of two groups.",
        "Compared with gold, they lean more on polite (60 %, gold 10 %) and less on topic (30 %, gold 70 %).",
    ]


def test_importance_that_lies_in_one_group_is_told_as_what_it_may_be(record):
    for row in record.importance["rows"]:
        row["share"] = dict(zip(GROUPS, (0.96, 0.03, 0.01), strict=True))
    assert (
        "Nearly all of it lies in topic: nothing else counts, or these texts hold little of the other groups."
        in importance.sentences(record)
    )


def test_members_that_were_held_to_a_reference_say_how_near_they_came(record):
    held = [
        member | {"held_to": row["share"]}
        for member, row in zip(record.members, record.importance["rows"], strict=False)
    ]
    assert any("KL(reference ‖ member) is 0.00 nats" in s for s in importance.sentences(replace(record, members=held)))
    held[0] = held[0] | {"held_to": dict(zip(GROUPS, (0.4, 0.5, 0.1), strict=True))}
    # .4 log(.4/.2) + .5 log(.5/.7) = .109, and 0 of the second member
    assert any("KL(reference ‖ member) is 0.05 nats" in s for s in importance.sentences(replace(record, members=held)))


def test_members_that_agree_are_said_to_agree(record):
    assert "The 2 members rank the groups alike (Kendall's tau 1.00, mean over pairs)." in importance.sentences(
        replace(record, importance=content(tau=1))
    )


def test_without_gold_the_members_order_the_groups(record):
    alone = replace(record, importance=content(("member",)))
    assert importance.table(alone)[0][1:4] == ["polite", "topic", "<b>small</b> words"]
    assert not any("gold" in sentence.lower() for sentence in importance.sentences(alone))


def test_a_run_from_before_has_no_such_section(tmp_path):
    write_run(tmp_path / "run")
    old = load_record(tmp_path / "run")
    assert importance.table(old) == ([], []) and importance.sentences(old) == [] and figure.draw(old) is None
    assert "Importance, model by model" not in render(old, [])


def test_the_page_shows_it_with_every_name_escaped(record, tmp_path):
    page = render(record, list(draw_all(record, tmp_path / "figures")))
    assert (
        page.count("<h2>What the reward models find important</h2>")
        == page.count("<h2>Importance, model by model</h2>")
        == 1
    )
    assert "<b>small</b>" not in page and "&lt;b&gt;small&lt;/b&gt; words" in page
    assert (tmp_path / "figures" / "importance.png").stat().st_size > 10_000


def test_the_figure_draws_every_model_with_its_error(record):
    drawn = figure.draw(record)
    assert drawn is not None
    left, _ = drawn[0].axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["topic", "<b>small</b> words", "polite"]
    assert len(left.containers) == 4
    # Gold's diamond stands at its shares, in the order of the labels.
    assert left.containers[-1].lines[0].get_xdata().tolist() == pytest.approx([70, 20, 10])
    assert "64 held-out completions of 32 prompts" in drawn[1]
