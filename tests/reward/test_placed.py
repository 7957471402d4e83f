"""Members placed in two processes: each holds half, and the scores are those of one process."""

import json
from pathlib import Path

import pytest
import torch
from made_of import made_of

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.compute.launcher import launch
from rlx.core.build import build
from rlx.reward.ensemble_uwo import EnsembleUWO

pytestmark = pytest.mark.timeout(600)  # s; two processes on few cores


def test_each_process_holds_its_share_and_every_row_is_scored_by_all(member, drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}")
    paths = [member(seed, constant=seed, scale=1 + seed) for seed in range(3)]
    rows = [torch.cat([x, x.flip(0), x[:1]]) for x in drawn]  # 7 completions: 4 and 3
    listing = tmp_path / "listing.json"
    listing.write_text(json.dumps({"members": list(map(str, paths)), "rows": [x.int().tolist() for x in rows]}))
    (cell,) = compose(["compute=ddp", "compute.num_processes=2"])
    launch("placed_scores", listing, build(checked(cell.config)["compute"]), tmp_path / "processes")
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [one["held"] for one in told] == [2, 1]

    alone = EnsembleUWO(3, 0.5, 0).scorer(made_of(paths))
    scores_MB = alone.member_scores(*rows)
    found_MB = torch.cat([torch.tensor(one["scores"]) for one in told], 1)
    assert found_MB.shape == (3, 7)
    torch.testing.assert_close(found_MB, scores_MB, atol=1e-5, rtol=1e-5)
    proxy_B = torch.cat([torch.tensor(one["proxy"]) for one in told])
    torch.testing.assert_close(proxy_B, alone.aggregate(scores_MB), atol=1e-5, rtol=1e-5)
    for one in told:
        assert one["scale"] == pytest.approx([alone.mean, alone.std, alone.raw_std], rel=1e-6)
