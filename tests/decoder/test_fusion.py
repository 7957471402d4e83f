"""decoder=fusion: the two divergences in closed form, the paper's exact cases, and the grid."""

import pytest
import torch

from rlx.decoder.fusion import CHUNK, Fusion, matched_alphas, matching_losses, tilt_divergences
from rlx.model.fused import fused_logits

GRID = Fusion("start", (), 0.0, 2.0, 0.1).grid


def logits(*shape: int, seed: int = 0, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def divergence(p_NV: torch.Tensor, q_NV: torch.Tensor) -> torch.Tensor:
    """KL(softmax(p) || softmax(q)) by its definition."""
    p, q = p_NV.log_softmax(-1), q_NV.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def alphas(large, experts, bases, grid=GRID) -> torch.Tensor:
    return matched_alphas(matching_losses(large, experts, bases, grid), grid)


def test_the_grid_is_the_papers_and_its_bounds_and_step_are_settings():
    assert GRID[:3] == [0.0, 0.1, 0.2] and GRID[10] == 1.0 and GRID[-1] == 2.0 and len(GRID) == 21
    assert Fusion("start", (), 0.5, 1.6, 0.25).grid == [0.5, 0.75, 1.0, 1.25, 1.5]


@pytest.mark.parametrize("vocabulary", [5, 348])
def test_both_divergences_equal_their_definition(vocabulary):
    large_NV, shift_NV = logits(40, vocabulary), logits(40, vocabulary, seed=1)
    moved_NA, back_NA = tilt_divergences(large_NV, shift_NV, GRID)
    for a, alpha in enumerate(GRID):
        fused_NV = large_NV + alpha * shift_NV
        assert (moved_NA[:, a] - divergence(fused_NV, large_NV)).abs().max() < 1e-10
        assert (back_NA[:, a] - divergence(large_NV, fused_NV)).abs().max() < 1e-10


def test_in_single_precision_they_are_right_to_a_millionth_of_a_nat():
    large_NV, shift_NV = logits(64, 348).float(), logits(64, 348, seed=1).float()
    for single, double in zip(
        tilt_divergences(large_NV, shift_NV, GRID),
        tilt_divergences(large_NV.double(), shift_NV.double(), GRID),
        strict=True,
    ):
        assert ((single - double).abs() / (1 + double)).max() < 1e-5


def test_a_vocabulary_in_chunks_gives_the_same(monkeypatch):
    large_NV, shift_NV = logits(7, 1000), logits(7, 1000, seed=1, scale=20)
    whole = tilt_divergences(large_NV, shift_NV, GRID)
    assert CHUNK > 7 * 1000 * 21
    monkeypatch.setattr("rlx.decoder.fusion.CHUNK", 21 * 7 * 64)
    for one, other in zip(whole, tilt_divergences(large_NV, shift_NV, GRID), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_divergences_grow_with_alpha():
    for found_NA in tilt_divergences(logits(100, 30), logits(100, 30, seed=1), GRID):
        assert (found_NA.diff(dim=-1) >= 0).all() and (found_NA[:, 0] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_policy_that_is_the_small_base_gets_alpha_1_at_no_loss_and_is_the_expert(dtype):
    base_NV, expert_NV = logits(200, 348).to(dtype), logits(200, 348, seed=1).to(dtype)
    losses_TNA = matching_losses(base_NV, expert_NV[None], base_NV[None], GRID)
    found_TN = matched_alphas(losses_TNA, GRID)
    assert (losses_TNA[0, :, 10] == 0).all() and (found_TN == 1).all()
    fused_NV = fused_logits(base_NV, expert_NV[None], base_NV[None], found_TN)
    assert torch.allclose(fused_NV, expert_NV, atol=1e-5 if dtype == torch.float32 else 1e-13)


def test_an_expert_that_is_its_base_gets_alpha_0():
    base_NV = logits(50, 30)[None]
    assert (alphas(logits(50, 30, seed=1), base_NV, base_NV) == 0).all()


def test_constants_on_any_logits_change_nothing():
    large, expert, base = logits(60, 40), logits(1, 60, 40, seed=1), logits(1, 60, 40, seed=2)
    found = alphas(large, expert, base)
    assert torch.equal(found, alphas(large + 3, expert - 5, base + 7))
    assert found.unique().numel() > 3  # the problem is not trivial


def test_the_chosen_point_has_the_smallest_loss_of_a_search_by_definition():
    large, expert, base = logits(60, 12), logits(60, 12, seed=1), logits(60, 12, seed=2)
    forth, back = divergence(expert, base), divergence(base, expert)
    losses = [
        (divergence(large + a * (expert - base), large) - forth) ** 2
        + (divergence(large, large + a * (expert - base)) - back) ** 2
        for a in GRID
    ]
    best = torch.tensor(GRID, dtype=torch.float64)[torch.stack(losses, -1).argmin(-1)]
    assert torch.equal(alphas(large, expert[None], base[None])[0], best)


def test_several_experts_are_searched_one_at_a_time_and_the_best_is_kept():
    large, experts, bases = logits(80, 25), logits(2, 80, 25, seed=1), logits(2, 80, 25, seed=2)
    losses_TNA = matching_losses(large, experts, bases, GRID)
    found_TN = matched_alphas(losses_TNA, GRID)
    assert ((found_TN > 0).sum(0) <= 1).all() and (found_TN > 0).any(1).all()
    own = torch.stack([losses_TNA[t, :, 7] for t in range(2)])
    assert (losses_TNA.amin((0, 2)) <= own.amin(0)).all()
    by_hand = sum(
        (divergence(large + 0.7 * (experts[1] - bases[1]), large) - divergence(e, b)) ** 2
        + (divergence(large, large + 0.7 * (experts[1] - bases[1])) - divergence(b, e)) ** 2
        for e, b in zip(experts, bases, strict=True)
    )
    assert torch.allclose(losses_TNA[1, :, 7], by_hand)


def test_one_expert_twice_is_one_expert():
    large, expert, base = logits(30, 25), logits(1, 30, 25, seed=1), logits(1, 30, 25, seed=2)
    twice = alphas(large, expert.expand(2, -1, -1), base.expand(2, -1, -1))
    assert torch.equal(twice[0], alphas(large, expert, base)[0]) and (twice[1] == 0).all()


def test_bounds_that_leave_no_point_are_refused():
    from rlx.decoder.fusion_rules import RULES

    config = {"decoder": {"_target_": "rlx.decoder.fusion.Fusion", "low": 1.5, "high": 1.0, "step": 0.1}}
    lines = [line for rule in RULES if (line := rule(config))]
    assert lines == ["decoder.low=1.5 is above decoder.high=1; the grid has no point"]
