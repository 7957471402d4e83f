import json

import pytest

from rlx.artefact.store import address, canonical
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.experiment.cell import cell_of
from rlx.run.name import content, run_name
from rlx.run.state import load_config

# Addresses of a default run from before there was this group, data seed 0.
BEFORE = {
    "SFT policy 0": "dd45f9e76e479bd6",
    "preference pairs": "56afb3601e04a30a",
    "score head": "43a14501c51c0fbf",
    "reference set": "ed5c178a93cc4759",
    "reward model 0": "3ae94a9346548021",
    "reward model 3": "72d21e1ffc72adf4",
    "baselines on pairs": "9ca11e2e34ffbe7f",
    "reward models on pairs": "e4d47979c6910a1d",
}


def config(*words):
    return checked(compose(["reward=warm", *words])[0].config)


def addresses(*words):
    return {name: address(recipe, 0) for name, recipe in cell_of(config(*words)).recipes().items()}


@pytest.mark.parametrize("words", [[], ["attribution=none"], ["attribution=consistent", "attribution.weight=0"]])
def test_without_a_penalty_every_artefact_has_the_address_that_it_had_before(words):
    found = addresses(*words)
    assert {name: found[name] for name in BEFORE} == BEFORE
    assert found == addresses()


def test_the_group_is_no_part_of_a_recipe_where_it_is_none():
    cell = cell_of(config())
    assert "ttribution" not in json.dumps([canonical(member) for member in cell.members()])


def test_a_run_without_the_group_keeps_its_name_and_its_config_is_read():
    given = config()
    old = {key: value for key, value in given.items() if key != "attribution"}
    assert content(given) == content(old) and run_name(given) == run_name(old)
    assert run_name(config("attribution=consistent")) != run_name(old)


def test_a_config_from_before_the_group_has_none(tmp_path):
    import yaml

    old = {key: value for key, value in config().items() if key != "attribution"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    assert checked(load_config(tmp_path / "config.yaml")) == config()
