"""Claims as they are declared: what contradicts itself is refused, the others become cells."""

import pytest
import yaml
from comparison.test_claim import DECLARED

from rlx.cli import main
from rlx.command.claim import cells_of, declare, load, names
from rlx.core.error import UserError


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a claim with changes to its keys; return its path."""
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))

    def write(name="mine", **changes):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(DECLARED) | changes, allow_unicode=True))
        return str(path)

    return write


@pytest.mark.parametrize("name", names())
def test_every_claim_that_ships_can_be_read(name):
    found, claim = load(name)
    assert found == name and len(claim.seeds.report) >= 6
    assert claim.says.endswith(".") and len(claim.title) <= 60


def test_all_claims_compose_and_share_their_runs():
    found = declare(["all"], "quick")
    assert [one.name for one in found] == names()
    assert len(cells_of(found)) < sum(len(one.runs) for one in found)


def test_a_claim_becomes_a_run_for_each_arm_strength_and_seed(own):
    match = {"key": "regularizer.beta", "values": {"a": [0.1, 0.2], "b": [0.1]}, "along": "kl"}
    with pytest.raises(UserError, match=r"match.values.b=\[0.1\]: a strength lies between"):
        declare([own(match=match)], "report")
    match["values"]["b"] = [0.3, 0.4]
    (one,) = declare([own(match=match, common="num_steps=12"), "sweep.num_parallel=1"], "report")
    assert len(one.runs) == 4 * (2 + 2 + 1)
    overrides = {(run.arm, run.place, run.seed): run.cell.overrides for run in one.runs}
    assert overrides["b", 1, 3] == ("num_steps=12", "reward=single", "regularizer.beta=0.4", "seed=3", "data_seed=3",
                                    "sweep.num_parallel=1")  # fmt: skip
    assert overrides["judge", 0, 0][:2] == ("num_steps=12", "reward=gold")
    (quick,) = declare([own(match=match, common="num_steps=12")], "quick")
    assert len(quick.runs) == 2 * 5 and quick.runs[0].cell.overrides[0] == "num_steps=11"


def test_runs_come_data_seed_by_data_seed_and_once(own):
    claims = declare([own("one"), own("two", contrast=["b", "a"])], "report")
    cells = cells_of(claims)
    assert len(cells) == 12
    assert [cell.config["data_seed"] for cell in cells] == sorted(cell.config["data_seed"] for cell in cells)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"contrast": ["a", "a"]}, "it compares two different arms"),
        ({"contrast": ["a", "c"]}, "contrast: no arm called 'c'; there are: a, b, judge"),
        ({"needs": [{"arm": "gold", "measure": "gold", "least": 1, "why": "x"}]}, "needs: no arm called 'gold'"),
        ({"seeds": {"choose": [2], "report": [0, 1, 2]}}, "seeds: 2 is in choose and in report"),
        ({"seeds": {"choose": [], "report": [0, 1]}}, "a verdict takes three different data seeds and more"),
        ({"quick": {"report": [7], "words": ""}}, r"quick.report=\[7\]: take some of seeds.report"),
        ({"arms": {"a": "reward=warm", "b": "reward=warm", "judge": "reward=gold"}}, "arms a and b are the same settings"),
        ({"arms": {"a": "reward=warm", "b": "reward=single seed=4", "judge": "reward=gold"}}, "arm b sets seed; seeds.report does"),
        ({"arms": {"a": "reward=warm", "b": "single", "judge": "reward=gold"}}, "arm b: single is no setting; write key=value"),
        ({"measure": "golden"}, "measure=golden: must be .*did you mean 'gold'"),
        ({"expect": None}, "expect=null: must be"),
        ({"smalest_effect": 1}, "no setting called 'smalest_effect'"),
        ({"smallest_effect": -1}, "smallest_effect=-1: must be more than 0"),
        ({"arms": {"a": "reward=wrm", "b": "reward=single", "judge": "reward=gold"}}, "no reward called 'wrm'"),
        ({"arms": {"a": "reward=warm num_steps=0", "b": "reward=single", "judge": "reward=gold"}}, "arm a: num_steps=0: must be"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_tested_is_refused_in_one_line(own, changes, line):
    with pytest.raises(UserError, match=line):
        declare([own(**changes)], "report")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["claim"], "rlx claim needs a name, or all; there are: chi2, "),
        (["claim", "uwo_bn"], "no claim called 'uwo_bn' (did you mean 'uwo_bon'?)"),
        (["claim", "none.yaml"], "none.yaml: no such file"),
        (["claim", "uwo_bon", "num_steps=3"], "num_steps: a claim declares its settings beforehand"),
        (["claim", "uwo_bon", "--choose"], "seeds.choose is empty"),
        (["claim", "--list", "uwo_bon"], "--list shows all claims; leave the rest out"),
        (["claim", "uwo_bon", "--quick", "--choose"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and line in error
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_claim_is_named(tmp_path):
    for text, line in (("[1, 2]", "must hold the keys of a claim"), ("a: [", "is not YAML")):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(UserError, match=line):
            load(str(tmp_path / "x.yaml"))
