"""`rlx evaluate --policy P --start S`: what was trained elsewhere is measured as a run's own policy is."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from rlx.cli import main
from rlx.model.lab import Lab
from tests.small_model import make_small_model

COMMAND = ["world=lab", "evaluation.final_num_prompts=24"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A start and a policy: the same weights but for a little noise, as transformers saves them."""
    folder = tmp_path_factory.mktemp("models")
    lab = Lab(sft_learning_rate=1e-3, reward_learning_rate=1e-3, policy_learning_rate=1e-3)
    model = lab.policy(None)
    for name in ("start", "policy"):
        model.save_pretrained(folder / name)
        lab.tokenizer().save_pretrained(folder / name)
        torch.manual_seed(0)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1 * weight.std() * torch.randn_like(weight)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(models, policy="policy", start="start"):
    return ["evaluate", "--policy", str(models / policy), "--start", str(models / start)]


def test_a_policy_from_elsewhere_is_measured_against_its_start(here, models):
    assert main([*words(models), *COMMAND]) == 0
    (found,) = (here / "runs").iterdir()
    assert found.name.startswith("policy-against-start-lab-")
    metrics = json.loads((found / "evaluation.json").read_text())["metrics"]
    assert metrics["evaluation/num_prompts"] == 24
    assert metrics["objective/kl_start"] == metrics["objective/kl"] > 0.01
    assert not [name for name in metrics if name.startswith(("proxy", "ensemble"))]
    rows = [json.loads(line) for line in (found / "final_samples.jsonl").read_text().splitlines()]
    mean = sum(row["gold"] for row in rows) / len(rows)
    assert len(rows) == 24 and metrics["gold/score"] == pytest.approx(mean) and "proxy" not in rows[0]
    page = (found / "versus-start.html").read_text()
    assert (
        "The proxies" not in page
        and "<h1>A policy against its start</h1>" in page
        and "trained elsewhere from" in page
        and "the start itself" in page
        and "None" not in page.split("<h2>")[0]
    )
    (found / "versus-start.html").unlink()
    assert main(["report", str(found)]) == 0 and (found / "versus-start.html").is_file()


def test_a_gold_that_is_trained_on_given_pairs_says_how_good_it_is(here):
    rows = [
        {"prompt": f"question {i} ?", "chosen": f"a good answer number {i}", "rejected": "bad " + "x " * (i % 3)}
        for i in range(160)
    ]
    pairs, texts = here / "pairs.jsonl", here / "texts.txt"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts.write_text("".join(f"{row['prompt']} {row['chosen']} {row['rejected']}\n" for row in rows))
    small = {"vocab_size": 300, "width": 16, "heads": 2}
    for name in ("start", "policy"):
        make_small_model(here / name, texts, **small)
    given = ["world=preferences", f"world.path={pairs}", "world.min_pairs=8", "world.min_heldout_prompts=8"]
    sizes = ["evaluation.final_num_prompts=12", "world.max_completion_tokens=24", "sampler.max_new_tokens=24"]
    rates = ["sft.learning_rate=0.001", "reward_model.learning_rate=0.001", "tracker=jsonl"]
    assert main([*words(here), *given, *sizes, *rates]) == 0
    (found,) = (here / "runs").iterdir()
    judges = {row["kind"]: row for row in json.loads((found / "members.json").read_text())}
    assert set(judges) == {"gold", "longer", "bag_of_words"}
    summary = json.loads((found / "summary.json").read_text())
    assert summary["pairs/heldout_accuracy_gold"] == judges["gold"]["accuracy"]["heldout"]
    page = (found / "versus-start.html").read_text()
    assert "Gold is a reward model: it is right in" in page and "The length limit leaves out" in page


@pytest.mark.parametrize("verb", [["train"], ["evaluate"], ["submit"]], ids=lambda verb: verb[0])
def test_a_measurement_is_no_run_to_go_on_with(here, models, capsys, verb):
    assert main([*words(models), *COMMAND, "name=mine"]) == 0
    capsys.readouterr()
    (found,) = (here / "runs").iterdir()
    assert main([*verb, str(found)]) == 2
    said = capsys.readouterr().err
    assert f"measure it again with rlx evaluate --policy {models / 'policy'} --start" in said and said.count("\n") == 1


def test_the_start_against_itself_has_moved_by_nothing(here, models):
    assert main([*words(models, policy="start"), *COMMAND]) == 0
    (found,) = (here / "runs").iterdir()
    metrics = json.loads((found / "summary.json").read_text())
    assert metrics["objective/kl_start"] == 0 and metrics["gold/win_rate"] == 0.5


def test_two_policies_from_elsewhere_are_compared_as_runs_are(here, models, capsys):
    for policy in ("policy", "start"):
        assert main([*words(models, policy), *COMMAND, f"name={policy}"]) == 0
    assert main(["compare", "policy", "start"]) == 0
    assert "of 24 common held-out prompts" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more, line",
    [
        (["evaluation.final_num_prompts=100000"], "evaluation.final_num_prompts=100000: the world has"),
        (["sampler.temperatur=1"], "no setting called"),
        (["sampler.temperature=1,2", "-m"], "unrecognized arguments: -m"),
        (["runs/a"], "with --policy there is no RUN"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_leaves_nothing(here, models, capsys, more, line):
    assert main([*words(models), *COMMAND[:1], *more]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (here / "runs").exists()


def test_policies_that_do_not_share_their_tokens_are_refused_by_the_first_that_differs(here, models, capsys, tmp_path):
    shutil.copytree(models / "policy", tmp_path / "other")
    path = tmp_path / "other" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocab = content["model"]["vocab"]
    one, other = sorted(vocab)[10:12]
    vocab[one], vocab[other] = vocab[other], vocab[one]
    path.write_text(json.dumps(content))
    assert main(["evaluate", "--policy", str(tmp_path / "other"), "--start", str(models / "start"), *COMMAND]) == 2
    said = capsys.readouterr().err
    assert f"--policy={tmp_path / 'other'}: token {one!r} has id" in said and not (here / "runs").exists()


def test_both_policies_are_needed_and_have_to_be_there(here, models, capsys):
    assert main(["evaluate", "--policy", str(models / "policy"), *COMMAND]) == 2
    assert "--policy and --start go together" in capsys.readouterr().err
    assert main([*words(models, policy="nowhere"), *COMMAND]) == 2
    assert f"--policy={models / 'nowhere'}: no such directory" in capsys.readouterr().err
    assert main(["evaluate"]) == 2
    assert "needs a RUN, or --policy and --start" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_the_policy_is_left_as_it_was(here, models):
    before = AutoModelForCausalLM.from_pretrained(models / "policy").state_dict()
    assert main([*words(models), *COMMAND]) == 0
    after = AutoModelForCausalLM.from_pretrained(models / "policy").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
