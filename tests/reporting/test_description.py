import dataclasses
import re

import pytest
import yaml

from rlx.command.usage import choices
from rlx.core.signature import constant
from rlx.reporting.card import model_card
from rlx.reporting.description import describe
from rlx.run.record import load_record
from tests.synthetic_run import write_run


def test_a_run_is_told_in_one_sentence(tmp_path):
    assert describe(load_record(write_run(tmp_path))) == (
        "PPO against 5 reward models averaged into one (WARM) trained on preferences of which 25 % are flipped, held "
        "by a KL penalty (β = 0.05) to a soup of 3 SFT policies, in world lab with model lab: 80 steps of 64 prompts, "
        "seed 0."
    )


def test_a_choice_of_one_s_own_is_told_as_it_was_typed(tmp_path):
    record = load_record(write_run(tmp_path))
    own = {"_target_": "mine.my_own.Own", "num_members": 2}
    config = {**record.config, "choices": {"reward": "my_own"}, "reward": own, "data_seed": 4}
    assert "against reward=my_own trained" in describe(dataclasses.replace(record, config=config))
    assert describe(dataclasses.replace(record, config=config)).endswith("seed 0, data seed 4.")


def test_a_penalty_of_nothing_is_not_told_as_a_penalty(tmp_path):
    record = load_record(write_run(tmp_path))
    config = {**record.config, "regularizer": {**record.config["regularizer"], "beta": 0}}
    told = describe(dataclasses.replace(record, config=config))
    assert "free to leave (β = 0) a soup" in told and "penalty" not in told


def test_the_control_is_named_and_trained_on_no_labels(tmp_path):
    record = load_record(write_run(tmp_path))
    config = {**record.config, "reward": {"_target_": "rlx.reward.gold.Gold"}}
    told = describe(dataclasses.replace(record, config=config, members=[]))
    assert told.startswith("PPO against the gold judge itself, held by")


def test_a_title_of_one_s_own_class_is_used_with_its_settings(tmp_path, monkeypatch):
    (tmp_path / "median_of_mine.py").write_text(
        "class Median:\n    title = 'the median of {num_members} models at {level} and {unset}'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    record = load_record(write_run(tmp_path / "run"))
    own = {"_target_": "median_of_mine.Median", "num_members": 3, "level": 0.5, "unset": None}
    told = describe(dataclasses.replace(record, config={**record.config, "reward": own}))
    assert "against the median of 3 models at 0.5 and several trained" in told


SHIPPED = [path for group in ("optimizer", "reward", "reference", "regularizer") for path in choices(group).values()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_choice_has_a_title_whose_braces_are_its_settings(path):
    config = yaml.safe_load(path.read_text())
    title = constant(config["_target_"], "title")
    assert isinstance(title, str) and title
    assert set(re.findall(r"\{(\w+)\}", title)) <= config.keys()


def test_reward_models_that_were_held_to_a_reference_are_told_so_and_their_paper_is_cited(tmp_path):
    record = load_record(write_run(tmp_path))
    held = {"_target_": "rlx.attribution.consistent.Consistent", "reference": "members", "weight": 0.3}
    members = [member | {"held_to": {"topic": 1.0}} for member in record.members]
    record = dataclasses.replace(record, config={**record.config, "attribution": held}, members=members)
    assert "are flipped, held to a reference importance of factors (members, weight 0.3), held by" in describe(record)
    assert "2402.12398" in model_card(record)
