"""Directories of runs that were made before a setting was there."""

import yaml
from word_world import save_model

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.run.name import run_name
from rlx.run.state import check_content, holds, load_config, open_run_dir


def test_a_run_from_before_a_setting_is_read_with_what_was_then_and_keeps_its_directory(tmp_path):
    save_model(tmp_path / "model")
    line = ["model=pretrained", f"model.path={tmp_path / 'model'}", "compute=ddp", f"runs_dir={tmp_path}"]
    config = checked(compose(line)[0].config)
    older = {group: dict(config[group]) for group in ("model", "compute", "world")}
    del older["model"]["attn_implementation"], older["compute"]["timeout"], older["world"]["task"]
    assert run_name(config | older) == run_name(config)
    path = open_run_dir(config | older, tmp_path / run_name(config))
    assert "timeout" not in yaml.safe_load(path.read_text())["compute"]
    assert checked(load_config(path)) == config and holds(path.parent, config)
    assert check_content(config) == path.parent


def test_another_kernel_of_attention_is_another_run(tmp_path):
    save_model(tmp_path)
    line = ["model=pretrained", f"model.path={tmp_path}"]
    usual, eager = (checked(compose([*line, *more])[0].config) for more in ([], ["model.attn_implementation=eager"]))
    assert run_name(usual) != run_name(eager)


def test_a_directory_holds_what_was_opened_in_it(tmp_path):
    config = checked(compose([f"runs_dir={tmp_path}"])[0].config)
    assert not holds(tmp_path / "run", config)
    open_run_dir(config, tmp_path / "run")
    assert holds(tmp_path / "run", config) and not holds(tmp_path / "run", config | {"seed": 1})
