"""Cells that are composed once for all that share their choices are those that Hydra composes one by one."""

import pytest

from rlx.command.compose import _by_hydra, compose, flags_last
from rlx.command.composition import Composition, ConfigLoaderImpl
from rlx.core.error import UserError


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["reward=warm", "reward.num_members=3", "~optimizer.clip", "+optimizer.mine=[1,{a: 2}]"],
        ["-m", "reward=single,warm", "seed=range(2)", "torch_optimizer.learning_rate=choice(1e-4,1e-5)"],
        [
            "-m",
            "regularizer=glob(k*)",
            "name=null,${hydra:job.override_dirname}-${hydra:job.num}",
            "supervised@sft=sft",
        ],
        ["model=pythia_1.4b", "scale=lab", "num_prompts=${seed}", "seed=7", "name=${hydra:runtime.choices.model}"],
    ],
)
def test_cells_are_those_of_hydras_own_main(line):
    assert compose(line) == _by_hydra(flags_last(line))


def test_a_combination_of_choices_is_composed_once_however_many_cells_share_it(monkeypatch):
    made, own = [], ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", lambda *words: (made.append(words[2]), own(*words))[1])
    cells = compose(["-m", "reward=single,warm", "seed=0,1,2,3", "proxy.clip=1,2"])
    assert len(cells) == 16 and made == [["reward=single"], ["reward=warm"]]
    assert len({(c.config["choices"]["reward"], c.config["seed"], c.config["proxy"]["clip"]) for c in cells}) == 16


def test_a_config_directory_of_the_users_stands_beside_ours(tmp_path):
    (tmp_path / "regularizer").mkdir()
    (tmp_path / "regularizer" / "mine.yaml").write_text("defaults: [kl]\nbeta: 0.75\n", encoding="utf-8")
    line = ["--config-dir", str(tmp_path), "-m", "regularizer=mine,kl", "seed=3"]
    cells = compose(line)
    assert cells[0].config["regularizer"]["beta"] == 0.75
    assert cells == _by_hydra(flags_last(line))
    with pytest.raises(UserError, match=r"no config directory '.*/nowhere'"):
        Composition(tmp_path, tmp_path / "nowhere")
