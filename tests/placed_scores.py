"""What each of several processes scores with an ensemble whose members are placed: a line of JSON for each process."""

import json
from pathlib import Path

import torch
from made_of import made_of
from torch import distributed

from rlx.process import processes
from rlx.reward._placed import PlacedEnsemble
from rlx.reward.ensemble_uwo import ensemble_uwo


def work(listing: Path) -> None:
    distributed.init_process_group("gloo")
    given = json.loads(listing.read_text())
    scorer = PlacedEnsemble(made_of([Path(path) for path in given["members"]]), lambda x: ensemble_uwo(x, 0.5, 0))
    rows = [torch.tensor(x)[processes.share(len(x))] for x in given["rows"]]
    scores_MB = scorer.member_scores(rows[0], rows[1].bool(), rows[2], rows[3].bool())
    told = {
        "held": len(scorer.members),
        "scores": scores_MB.tolist(),
        "proxy": scorer.aggregate(scores_MB).tolist(),
        "scale": [scorer.mean, scorer.std, scorer.raw_std],
    }
    (listing.parent / f"{processes.rank()}.json").write_text(json.dumps(told))
