"""`rlx compare RUN_A RUN_B`: a page and a summary from stored samples, and one line where there is nothing to compare."""

import json
import shutil

import pytest
import yaml
from synthetic_run import write_run

from rlx.cli import main


@pytest.fixture
def runs(tmp_path):
    better, flat = write_run(tmp_path / "better", kind="better"), write_run(tmp_path / "flat", kind="flat")
    return better, flat


def keep_final(run, num=None, gold=0.0):
    """Give a synthetic run the final samples that `rlx train` writes."""
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    start = {row["prompt_id"]: row for row in rows if row["step"] == 0}
    last = max(row["step"] for row in rows)
    final = [
        row
        | {
            "completion": f"<script>alert(1)</script> {row['completion']}",
            "gold": row["gold"] + gold,
            "length": len(row["completion"].split()) + 1,
            "start_completion": start[row["prompt_id"]]["completion"],
            "start_gold": start[row["prompt_id"]]["gold"],
        }
        for row in rows
        if row["step"] == last
    ][:num]
    (run / "final_samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in final))


def test_a_better_run_is_called_better_with_a_page_of_escaped_texts(runs, capsys):
    for run in runs:
        keep_final(run)
    assert main(["compare", *map(str, runs)]) == 0
    out, err = capsys.readouterr()
    assert "A has more gold than B." in out and "A wins" in out and "WARNING" not in err
    page = (runs[0] / "versus-flat.html").read_text()
    assert "A has more gold than B" in page and "<script>alert" not in page and "&lt;script&gt;" in page
    numbers = json.loads((runs[0] / "versus-flat.json").read_text())
    assert numbers["num"] == 128 and numbers["win_rate"][1] > 0.5 and numbers["unit"] == "SD"
    assert numbers["proxy"] is not None  # the same members
    assert not list(runs[1].glob("versus*"))


def test_a_run_without_final_samples_is_compared_by_its_last_evaluation_and_says_so(runs, capsys):
    keep_final(runs[0], num=100)
    assert main(["compare", *map(str, runs)]) == 0
    said = capsys.readouterr().err
    assert "B kept no samples of a final measurement: these are those of its step 80" in said
    assert "Only 100 prompts are common: A has 100, B has 128" in said
    assert "kept no samples of a final measurement" in (runs[0] / "versus-flat.html").read_text()


def test_the_final_samples_go_before_those_of_the_last_evaluation(runs):
    for run, more in zip(runs, (-100.0, 0.0), strict=True):
        keep_final(run, gold=more)
    assert main(["compare", *map(str, runs)]) == 0
    assert json.loads((runs[0] / "versus-flat.json").read_text())["win_rate"][0] == 0.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data_seed": 7}, "data_seed differs: 0 in better, 7 in flat"),
        (
            {"world": {"_target_": "rlx.world.preferences.Preferences"}},
            "world differs: lab in better, preferences in flat",
        ),
    ],
)
def test_runs_of_another_gold_are_refused_in_one_line_and_nothing_is_written(runs, capsys, change, says):
    config = yaml.safe_load((runs[1] / "config.yaml").read_text()) | change
    (runs[1] / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["compare", *map(str, runs)]) == 2
    out, err = capsys.readouterr()
    assert says in err and err.count("\n") == 1 and out == ""
    assert not list(runs[0].glob("versus*"))


def test_another_gold_model_a_run_without_samples_and_a_run_against_itself_are_refused(runs, capsys):
    provenance = json.loads((runs[1] / "provenance.json").read_text())
    named = provenance | {"artefacts": {"gold reward model": "gold-1234"}}
    (runs[1] / "provenance.json").write_text(json.dumps(named))
    assert main(["compare", *map(str, runs)]) == 2
    assert "the gold reward model differs" in capsys.readouterr().err
    (runs[1] / "provenance.json").write_text(json.dumps(provenance))
    assert main(["compare", str(runs[0]), str(runs[0])]) == 2
    assert "against itself" in capsys.readouterr().err
    empty = shutil.copytree(runs[1], runs[1].with_name("empty"))
    (empty / "samples.jsonl").unlink()
    assert main(["compare", str(runs[0]), str(empty)]) == 2
    assert "has kept no samples yet" in capsys.readouterr().err
    assert not list(runs[0].glob("versus*"))


def test_proxies_of_other_rewards_are_said_to_be_not_comparable(runs, capsys):
    config = yaml.safe_load((runs[1] / "config.yaml").read_text())
    config["reward"] = {"_target_": "rlx.reward.single.Single"}
    (runs[1] / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["compare", *map(str, runs)]) == 0
    assert "The proxies are not comparable" in capsys.readouterr().out
