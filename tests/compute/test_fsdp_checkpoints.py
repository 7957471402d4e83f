"""Trainings spread by FSDP (which transformers has to be made to use on CPUs) go on from their checkpoints."""

import json
from pathlib import Path

import pytest
from several_runs import opened

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.compute.launcher import launch
from rlx.core.build import build
from rlx.process.stop import Stopped
from tests.compute.test_launcher import MINIATURE, TWO, hashes, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # s; several processes on few cores


def test_artefacts_and_a_policy_that_are_stopped_again_and_again_end_as_undisturbed_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}")
    line = [*MINIATURE, "compute=fsdp", *TWO]
    (cell,) = compose(line)
    compute = build(checked(cell.config)["compute"])

    def launched(module: str, name: str) -> Path:
        path = opened(tmp_path / name, tmp_path / f"{name} cache", line)
        (tmp_path / "listing").write_text(str(path))
        launch(module, tmp_path / "listing", compute, tmp_path / "processes")
        return path.parent

    whole, stops, stopped = launched("forced_fsdp_runs", "whole"), 0, None
    while stopped is None:
        try:
            stopped = launched("interrupted_fsdp_runs", "stopped")
        except Stopped:
            stops += 1
            kept = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("checkpoint-*/step.json")]
            layouts = {json.loads((tmp_path.joinpath(*parts)).read_text())["layout"] for parts in kept}
            assert "fsdp on 2 processes" in layouts and stops < 10
    assert stops >= 3  # in an SFT policy, a reward model, and the policy
    assert rows(stopped) == rows(whole)
    assert hashes(tmp_path / "stopped cache") == hashes(tmp_path / "whole cache")
