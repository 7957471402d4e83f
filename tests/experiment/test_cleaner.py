import json

import pytest

from rlx.artefact.store import address, canonical
from rlx.cli import main
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.experiment.cell import cell_of
from rlx.experiment.on_pairs import cleaning_metrics, cleaning_of
from rlx.run.name import run_name
from rlx.run.state import load_config
from rlx.supervised.reward_model import RewardMember


def config(*words: str) -> dict:
    return checked(compose(list(words))[0].config)


def test_without_a_cleaner_every_artefact_is_that_of_a_config_without_the_group():
    for words in ([], ["reward=warm", "reference=soup"], ["reward=ensemble_uwo", "optimizer=bon"]):
        cell = cell_of(config(*words))
        recipes = cell.recipes()
        assert "cleaner" not in json.dumps([canonical(recipe) for recipe in recipes.values()]).lower()
        plain = RewardMember(cell.world, cell.model, cell.sft, cell.reward_model, cell.world.label_noise, 0)
        assert address(recipes["reward model 0"], 0) == address(plain, 0)
        assert recipes["score head"] == plain.head and type(recipes["score head"]).__name__ == "ScoreHead"


def test_without_a_cleaner_a_run_keeps_the_name_that_it_had_before_the_group():
    own = config()
    before = {key: value for key, value in own.items() if key != "cleaner"}
    assert run_name(own) == run_name(before)
    assert run_name(config("cleaner=bilevel")) != run_name(own)


def test_a_run_of_before_the_group_goes_on_as_it_was(tmp_path):
    import yaml

    before = {key: value for key, value in config().items() if key != "cleaner"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(before))
    loaded = load_config(tmp_path / "config.yaml")
    assert checked(loaded) == config() and not cell_of(loaded).cleaner.cleans


def test_a_cleaner_adds_its_artefacts_and_shares_all_others():
    plain, cleaned = (cell_of(config("reward=ensemble_mean", *more)).recipes() for more in ([], ["cleaner=bilevel"]))
    new = ["trusted pairs", "score head, uncleaned", "reward model 0, uncleaned", "pair weights"]
    assert [name for name in cleaned if name not in plain] == new
    shared = {name for name in plain if plain[name] == cleaned[name]}
    assert {"SFT policy 0", "preference pairs", "reference set", "baselines on pairs"} <= shared
    assert cleaned["reward model 0, uncleaned"] == plain["reward model 0"]
    assert not {"score head", "reward model 0", "reward models on pairs"} & shared
    # Built in the order in which they are needed.
    names = list(cleaned)
    assert names.index("pair weights") < names.index("score head") < names.index("reward model 1")


def test_the_summary_has_the_auc_beside_that_of_the_small_loss_where_labels_were_flipped(tmp_path):
    told = {"pairs": 100, "weights": {"effective_pairs": 80.0}, "flips": None}
    assert cleaning_metrics(None) == {} and cleaning_metrics(told) == {"cleaning/effective_share": 0.8}
    told["flips"] = {"weights": {"auc": 0.7}, "small_loss": {"auc": 0.6}}
    (tmp_path / "cleaning.json").write_text(json.dumps(told))
    found = cleaning_metrics(cleaning_of({"pair weights": tmp_path}))
    assert found == {"cleaning/effective_share": 0.8, "cleaning/auc": 0.7, "cleaning/auc_small_loss": 0.6}
    assert cleaning_of({"reward model 0": tmp_path}) is None


@pytest.mark.slow
def test_a_cleaned_run_ends_with_its_weights_in_the_report_and_says_that_it_is_done(tmp_path, capsys):
    words = [
        "reward=single", "cleaner=bilevel", "cleaner.num_trusted=40", "reward_model.num_pairs=128",
        "reward_model.num_heldout_pairs=64", "world.num_demonstrations=300", "num_steps=1", "num_prompts=8",
        "evaluation.interval=1", "evaluation.num_prompts=16", "evaluation.final_num_prompts=16", "tracker=jsonl",
        f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}", "name=cleaned",
    ]  # fmt: skip
    assert main(["train", *words]) == 0
    run_dir = tmp_path / "runs" / "cleaned-seed0"
    found = json.loads((run_dir / "cleaning.json").read_text())
    assert (found["pairs"], found["trusted"], found["flipped"]) == (128, 40, 32)
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["cleaning/auc"] == found["flips"]["weights"]["auc"]
    assert "Most distrusted" in (run_dir / "report.html").read_text()
    assert main(["train", *words]) == 0 and "is done" in capsys.readouterr().out
