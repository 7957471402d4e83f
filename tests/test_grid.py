"""Every cell of the grid means something: 4 rewards x 2 references x 7 optimizers x 2 regularizers, on a miniature of the lab."""

import itertools
import json
import shlex

import pytest
import torch
from transformers import AutoModelForCausalLM

from rlx.cli import main

REWARDS = ("single", "ensemble_wco", "ensemble_uwo", "warm")
REFERENCES = ("frozen", "soup")
OPTIMIZERS = ("ppo", "bon", "superhf", "inpo", "dpo", "rloo", "grpo")
REGULARIZERS = ("kl", "chi2")
CELLS = list(itertools.product(REWARDS, REFERENCES, OPTIMIZERS, REGULARIZERS))
# Every pair of choices from different groups meets in one of these (checked below), but for pairs with an optimizer of LATER,
# which learns from scores as the others do: one cell of each.
LATER = ("dpo", "rloo", "grpo")
COVERING = [
    ("single", "frozen", "ppo", "kl"),
    ("single", "soup", "bon", "chi2"),
    ("single", "frozen", "superhf", "chi2"),
    ("single", "soup", "inpo", "kl"),
    ("ensemble_wco", "soup", "ppo", "chi2"),
    ("ensemble_wco", "frozen", "bon", "kl"),
    ("ensemble_wco", "soup", "superhf", "kl"),
    ("ensemble_wco", "frozen", "inpo", "chi2"),
    ("ensemble_uwo", "soup", "ppo", "kl"),
    ("ensemble_uwo", "frozen", "bon", "chi2"),
    ("ensemble_uwo", "soup", "superhf", "chi2"),
    ("ensemble_uwo", "frozen", "inpo", "kl"),
    ("warm", "frozen", "ppo", "chi2"),
    ("warm", "soup", "bon", "kl"),
    ("warm", "frozen", "superhf", "kl"),
    ("warm", "soup", "inpo", "chi2"),
    ("single", "soup", "dpo", "chi2"),
    ("ensemble_wco", "soup", "rloo", "chi2"),
    ("single", "frozen", "grpo", "kl"),
]
MINIATURE = shlex.split(
    "world.num_demonstrations=256 sft.num_epochs=1 reward_model.num_pairs=128 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=64 num_prompts=16 num_steps=4 evaluation.interval=4 "
    "evaluation.num_prompts=48 evaluation.final_num_prompts=48 checkpoint.interval=4 torch_optimizer.learning_rate=3e-4 "
    "tracker=jsonl"
)
SMALLER = {  # of what each optimizer draws
    "ppo": [],
    "bon": ["optimizer.num_samples=8"],
    "superhf": ["optimizer.num_samples=4"],
    "inpo": ["optimizer.num_samples=4"],
    "dpo": ["optimizer.num_samples=4"],
    "rloo": ["optimizer.num_samples=4"],
    "grpo": ["optimizer.num_samples=4"],
}


def test_the_covering_cells_let_every_two_choices_meet():
    for one, other in itertools.combinations(range(4), 2):
        missing = {(c[one], c[other]) for c in CELLS} - {(c[one], c[other]) for c in COVERING}
        assert all({*pair} & {*LATER} for pair in missing)
    assert {c[2] for c in COVERING} == {*OPTIMIZERS}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    ("reward", "reference", "optimizer", "regularizer"),
    [pytest.param(*cell, id="-".join(cell), marks=() if cell in COVERING else pytest.mark.slow) for cell in CELLS],
)
def test_a_cell_trains_what_it_should_and_reports(
    cache, tmp_path, monkeypatch, reward, reference, optimizer, regularizer
):
    monkeypatch.setenv("RLX_CACHE", str(cache))
    monkeypatch.setenv("RLX_RUNS", str(tmp_path))
    members = [] if reward == "single" else ["reward.num_members=2"]
    cell = [f"reward={reward}", f"reference={reference}", f"optimizer={optimizer}", f"regularizer={regularizer}"]
    assert main(["train", *cell, *members, *SMALLER[optimizer], *MINIATURE]) == 0
    (run,) = tmp_path.iterdir()

    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    heldout = [row for row in rows if row["split"] == "heldout"]
    assert heldout[-1]["proxy/score"] >= heldout[0]["proxy/score"] - 0.15  # SD; the standard error is about as much

    provenance = json.loads((run / "provenance.json").read_text())
    start = AutoModelForCausalLM.from_pretrained(cache / provenance["artefacts"]["SFT policy 0"])
    policy, info = AutoModelForCausalLM.from_pretrained(run / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    moved = any(not torch.equal(a, b) for a, b in zip(start.parameters(), policy.parameters(), strict=True))
    assert moved == (optimizer != "bon")
    assert "data:image/png;base64," in (run / "report.html").read_text()
