import json
import math

import pytest

from rlx.core.error import UserError
from rlx.experiment.on_pairs import check_pairs, importance_metrics, importance_of, judge_metrics, judge_rows


def written(folder, name, value):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value))
    return folder


@pytest.fixture
def paths(tmp_path):
    def row(kind, accuracy):
        return {"kind": kind, "accuracy": {"heldout": accuracy, "train_flipped": 0.25}}

    return {
        "reward models on pairs": written(
            tmp_path / "members", "accuracy.json", [row("member", 0.7), row("warm", 0.72), row("line", 0.7)]
        ),
        "gold on pairs": written(tmp_path / "gold", "gold.json", {"kind": "gold", "accuracy": {"heldout": 0.8}}),
        "baselines on pairs": written(tmp_path / "trivial", "baselines.json", [row("longer", 0.55)]),
    }


@pytest.fixture
def member(tmp_path):
    return written(tmp_path / "RewardMember-1", "member.json", {"index": 3, "dropout": 0.1, "accuracy": {"heldout": 0}})


def test_a_member_is_told_by_its_training_and_measured_with_the_others(paths, member):
    rows = judge_rows([member], paths)
    assert [row["kind"] for row in rows] == ["member", "warm", "line", "gold", "longer"]
    assert rows[0]["address"] == "RewardMember-1" and rows[0]["dropout"] == 0.1
    assert rows[0]["accuracy"]["heldout"] == 0.7
    assert judge_rows([], {}) == []


def shaped(folder, **config):
    return written(folder, "config.json", {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2} | config)


def test_the_row_of_gold_tells_where_gold_comes_from(tmp_path, paths, member):
    def origin(members, given=None, **more):
        return next(row for row in judge_rows(members, paths | more, given) if row["kind"] == "gold").get("origin")

    shaped(member, architectures=["LlamaForSequenceClassification"])
    assert origin([member], **{"gold reward model": tmp_path / "gold"}) == "trained"
    assert origin([member], shaped(tmp_path / "one", _name_or_path="elsewhere")) == "alike"
    assert origin([member], shaped(tmp_path / "two", hidden_size=128)) == "other"
    assert origin([member]) is None and origin([], tmp_path / "one") is None


def test_the_summary_has_each_judge_by_name_and_not_the_line(paths, member):
    assert judge_metrics(judge_rows([member], paths)) == {
        "pairs/heldout_accuracy_member_3": 0.7, "pairs/flipped_given_back_member_3": 0.25,
        "pairs/heldout_accuracy_warm": 0.72, "pairs/flipped_given_back_warm": 0.25,
        "pairs/heldout_accuracy_gold": 0.8,
        "pairs/heldout_accuracy_longer": 0.55, "pairs/flipped_given_back_longer": 0.25,
    }  # fmt: skip


def test_models_made_of_fewer_pairs_than_are_asked_for_now_are_refused(tmp_path):
    class Demanding:
        def to_train_on(self, whose, fitting):
            if len(fitting) < 10:
                raise UserError(f"{whose}: {len(fitting)}")

    pairs = written(tmp_path / "pairs", "pairs.json", {"pairs": 10})
    gold = written(tmp_path / "gold", "member.json", {"pairs": 9})
    check_pairs(Demanding(), {"preference pairs": pairs})  # pyright: ignore
    with pytest.raises(UserError, match="gold: 9"):
        check_pairs(Demanding(), {"preference pairs": pairs, "gold reward model": gold})  # pyright: ignore


def test_the_summary_says_how_far_members_agree_on_what_is_important(tmp_path):
    shares = {"member": [{"a": 0.5, "b": 0.5}, {"a": 0.75, "b": 0.25}], "gold": [{"a": 0.5, "b": 0.5}]}
    rows = [{"kind": kind, "share": share} for kind, several in shares.items() for share in several]
    found = {"groups": ["a", "b"], "rows": rows, "agreement": {"tau": 1.0, "divergence": 0.1, "range": {}}}
    paths = {"factor importance": written(tmp_path / "importance", "importance.json", found)}
    # The mean of 0 and .5 log(.5/.75) + .5 log(.5/.25).
    assert importance_metrics(importance_of(paths)) == pytest.approx(
        {
            "importance/tau_members": 1.0,
            "importance/divergence_members": 0.1,
            "importance/divergence_gold": 0.25 * math.log(0.5 / 0.75 * 0.5 / 0.25),
        }
    )
    assert importance_metrics(importance_of({})) == {}
