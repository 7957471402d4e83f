import json

import pytest
import torch

from rlx.model.average import averaged_directory
from rlx.model.score_head import load_reward_model, score_rows
from rlx.reward._ensemble import load_member
from rlx.supervised.combined import MembersOnPairs
from rlx.supervised.member import pair_accuracy
from rlx.supervised.pairs import read
from rlx.supervised.reward_rows import RewardRows


@pytest.fixture
def built(member, store):
    """Rows of the artefact of three members that had learnt something, their paths and their held-out pairs."""
    members = tuple(member(i, num_epochs=4.0) for i in range(3))
    rows = json.loads((store.fetch(MembersOnPairs(members), 0) / "accuracy.json").read_text())
    pairs = store.fetch(members[0].pairs, 0)
    return rows, [store.fetch(one, 0) for one in members], read(pairs / "heldout.jsonl"), members[0].model


def of_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


def test_members_are_measured_as_in_their_training(built):
    rows, paths, _, _ = built
    for row, path in zip(of_kind(rows, "member"), paths, strict=True):
        assert row["accuracy"] == pytest.approx(json.loads((path / "member.json").read_text())["accuracy"])


def test_the_mean_ensemble_and_warms_average_are_measured_as_the_proxies_that_they_are(built):
    rows, paths, heldout, model = built
    texts = RewardRows(model, [pair.prompt for pair in heldout])
    chosen = [texts.row(pair.prompt, pair.chosen) for pair in heldout]
    rejected = [texts.row(pair.prompt, pair.rejected) for pair in heldout]
    members = [load_member(path) for path in paths]
    means = [
        torch.stack([m.z_scores(score_rows(m.model, side).double()) for m in members]).mean(0)
        for side in (chosen, rejected)
    ]
    assert of_kind(rows, "mean")[0]["accuracy"]["heldout"] == pair_accuracy(*means)
    with averaged_directory(paths, [1 / 3] * 3) as directory:
        averaged = load_reward_model(directory)
    want = pair_accuracy(score_rows(averaged, chosen), score_rows(averaged, rejected))
    assert of_kind(rows, "warm")[0]["accuracy"]["heldout"] == want


def test_the_line_begins_and_ends_with_the_two_members(built):
    rows, paths, _, _ = built
    first, second = of_kind(rows, "member")[:2]
    line = of_kind(rows, "line")
    assert [row["weight"] for row in line] == [0, 0.25, 0.5, 0.75, 1]
    for row, end in ((line[0], first), (line[-1], second)):
        assert row["accuracy"] == row["diagonal"] == row["scores"] == end["accuracy"]
    middle = line[2]["diagonal"]["heldout"]
    assert middle == pytest.approx((first["accuracy"]["heldout"] + second["accuracy"]["heldout"]) / 2)
    assert not torch.equal(load_reward_model(paths[0]).score.weight, load_reward_model(paths[1]).score.weight)


def test_one_member_has_nothing_to_combine(member, store):
    rows = json.loads((store.fetch(MembersOnPairs((member(0),)), 0) / "accuracy.json").read_text())
    assert [row["kind"] for row in rows] == ["member"]
