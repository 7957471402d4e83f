import json

from rlx.artefact.store import address, canonical
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.experiment.cell import cell_of
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
