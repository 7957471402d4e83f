import pytest
import torch
from word_world import consistent

from rlx.attribution.consistent import consistency_loss
from rlx.attribution.importance import divergence, importance, shares
from rlx.attribution.shapley import first_and_last
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError

REFERENCE = torch.tensor([0.5, 0.3, 0.2]).double()


def values(seed=0, rows=6):
    return torch.randn(8, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_loss_is_the_divergence_of_the_shares_and_has_no_unit():
    want = divergence(REFERENCE, shares(importance(first_and_last(3).phi(values())), 1e-3))
    for scale, shift in ((1.0, 0.0), (50.0, 7.0)):
        torch.testing.assert_close(consistency_loss(scale * values() + shift, REFERENCE, 1e-3), want)


def test_a_score_with_the_references_importance_pays_nothing():
    kept_SG = first_and_last(3).kept_SG.double()
    p_G = shares(torch.tensor([5.0, 3.0, 2.0]).double(), 1e-3)
    assert float(
        consistency_loss((kept_SG @ torch.tensor([5.0, -3.0, 2.0]).double())[:, None], p_G, 1e-3)
    ) == pytest.approx(0, abs=1e-12)


def test_its_gradient_is_that_of_finite_differences():
    given = values().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: consistency_loss(v, REFERENCE, 1e-3), (given,), eps=1e-6, atol=1e-6)


def test_a_model_that_gives_every_text_one_score_has_a_loss_and_no_broken_gradient():
    flat = torch.zeros(8, 4, dtype=torch.float64, requires_grad=True)
    loss = consistency_loss(flat, REFERENCE, 1e-3)
    (gradient,) = (
        torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True)
        if loss.requires_grad
        else (flat * 0,)
    )
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


def test_a_given_prior_is_its_shares():
    prior = consistent(prior=[1.0, 3.0, 0.0], eps=0.1).prior_shares()
    torch.testing.assert_close(prior, (torch.tensor([0.25, 0.75, 0.0]).double() + 0.1) / 1.3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reward=gold"], "reward=gold has no reward model that could be held to a reference"),
        (
            ["attribution.reference=given"],
            "attribution.prior, a list of 5 weights that are not all 0: topic, mood, polite",
        ),
        (["attribution.reference=given", "attribution.prior=[1,2]"], "attribution.prior, a list of 5 weights"),
        (["attribution.reference=given", "attribution.prior=[0,0,0,0,0]"], "attribution.prior, a list of 5 weights"),
        (["attribution.prior=[1,1,1,1,1]"], "attribution.prior is for attribution.reference=given, not members"),
        (["compute=ddp", "compute.num_processes=2"], "attribution=consistent trains reward models in one process"),
        (["attribution.weight=-1"], "attribution.weight=-1: must be at least 0"),
        (["attribution.reference=golden"], "attribution.reference=golden: must be"),
        (
            [
                "world=preferences",
                "world.path=pairs.jsonl",
                "model=pretrained",
                "model.path=m",
                "attribution.reference=gold",
            ],
            "attribution.reference=gold reads gold's factors from a judge that is a program",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(words, message):
    with pytest.raises(UserError) as error:
        checked(compose(["attribution=consistent", *words])[0].config)
    assert message in str(error.value)


def test_a_world_without_groups_is_told_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("class Bare:\n    def __init__(self, label_noise: float): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = compose(["attribution=consistent"])[0].config
    monkeypatch.setenv("RLX_TRUST", "bare")
    config["world"] = {"_target_": "bare.Bare", "label_noise": 0.1}
    config["choices"]["world"] = "bare"
    with pytest.raises(UserError, match=r"world=bare has no groups of factors .* give its class factor_groups"):
        checked(config)


def test_it_composes_with_every_reward_that_has_members():
    for reward in ("single", "ensemble_mean", "ensemble_wco", "ensemble_uwo", "warm"):
        assert checked(compose(["attribution=consistent", f"reward={reward}"])[0].config)
