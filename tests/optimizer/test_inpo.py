import re

import pytest
import torch
import yaml

from rlx.command.compose import conf_dir
from rlx.optimizer._pairs import best_worst, bradley_terry, iid, tournament
from rlx.optimizer.inpo import inpo_loss, log_ratio_gap
from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL

TAU, ETA = 0.1, 0.5
# Rock, paper, scissors, and a fourth move that loses to all: no reward orders the first three.
GAME = torch.tensor(
    [[0.5, 0.1, 0.9, 0.8], [0.9, 0.5, 0.1, 0.8], [0.1, 0.9, 0.5, 0.8], [0.2, 0.2, 0.2, 0.5]], dtype=torch.float64
)
REF = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
KL_TAU = KL(beta=TAU, target=None, horizon=10000)
CHI2_TAU = Chi2(beta=TAU, root=False, max_log_ratio=10, floor=1e-4, target=None, horizon=10000)


def population_loss(logps, previous, regularizer):
    """E over y, y' ~ pi_t and the winner drawn from the game, everything enumerated."""
    to_ref, to_previous = regularizer.link(logps - REF), logps - previous
    h = log_ratio_gap(to_ref[:, None] - to_ref[None], to_previous[:, None] - to_previous[None], TAU, ETA)
    pairs = previous.exp()[:, None] * previous.exp()[None]
    return (pairs * (GAME * inpo_loss(h, ETA) + GAME.T * inpo_loss(-h, ETA))).sum()


def iterate(previous, regularizer):
    logits = previous.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = population_loss(logits.log_softmax(-1), previous, regularizer)
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach().log_softmax(-1)


def test_one_iteration_is_the_closed_form_of_mirror_descent():
    # pi_{t+1} ~ exp(P(y > pi_t) / eta) ref^(tau/eta) pi_t^(1 - tau/eta)
    previous = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log()
    wins = GAME @ previous.exp()
    wanted = (wins / ETA + TAU / ETA * REF + (1 - TAU / ETA) * previous).log_softmax(-1)
    torch.testing.assert_close(iterate(previous, KL_TAU), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("regularizer", [KL_TAU, CHI2_TAU], ids=["kl", "chi2"])
def test_iterations_converge_to_the_nash_policy_of_a_game_that_no_reward_describes(regularizer):
    policy = REF
    for _ in range(60):
        policy = iterate(policy, regularizer)
    # At the regularised Nash equilibrium P(y > pi) - tau link(pi / ref) is the same for every y.
    level = GAME @ policy.exp() - TAU * regularizer.link(policy - REF)
    assert (level - level.mean()).abs().max() < 2e-3  # it spirals in
    assert policy.exp()[:3].min() > 0.2 and policy.exp()[3] < 0.1  # it mixes the cycle and leaves the loser


def test_at_the_start_the_loss_is_a_quarter_of_eta_to_the_minus_two():
    assert inpo_loss(torch.tensor(0.0), 0.5) == 1.0  # (0 - 1 / (2 * 0.5))^2


def test_the_yaml_sets_the_papers_step_and_temperature_beside_ours():
    text = (conf_dir() / "optimizer" / "inpo.yaml").read_text()
    eta, tau = (float(re.search(rf"{key}=([\d.]+)", text)[1]) for key in ("optimizer.eta", "regularizer.beta"))  # pyright: ignore[reportOptionalSubscript]
    assert tau / eta == pytest.approx(1 / 3, rel=0.01) and 1 / (2 * eta) == 100
    kl = yaml.safe_load((conf_dir() / "regularizer" / "kl.yaml").read_text())
    assert kl["beta"] / yaml.safe_load(text)["eta"] == 1 / 2 and "tau / eta is 1/2" in text


def test_the_residual_is_the_papers_h_for_kl():
    logp, ref, old = (torch.tensor(x) for x in ([-1.0, -2.0], [-1.5, -1.0], [-0.5, -3.0]))
    h = log_ratio_gap((logp - ref)[0] - (logp - ref)[1], (logp - old)[0] - (logp - old)[1], 0.3, 0.9)
    # log pi ratio 1; ref ratio -0.5; pi_t ratio 2.5: 1 - (1/3)(-0.5) - (2/3)(2.5)
    torch.testing.assert_close(h, torch.tensor(1 + 0.5 / 3 - 5 / 3))


def test_bradley_terry_is_antisymmetric_around_a_half():
    p = bradley_terry(torch.tensor([[0.0, 1.0, -2.0]]))
    torch.testing.assert_close(p + p.transpose(1, 2), torch.ones(1, 3, 3))
    torch.testing.assert_close(p[0, 1, 0], torch.tensor(1.0).sigmoid())


def test_a_tournament_finds_best_and_worst_of_a_transitive_oracle():
    scores = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    winner, loser, kept = tournament(bradley_terry(scores))
    assert torch.equal(winner, scores.argmax(1)) and torch.equal(loser, scores.argmin(1)) and kept.all()


def test_a_tournament_of_eight_asks_eleven_times():
    class Counting:
        def __init__(self, p):
            self.p, self.asked = p, 0
            self.shape = p.shape

        def __len__(self):
            return len(self.p)

        def __getitem__(self, index):
            found = self.p[index]
            self.asked += found.numel()
            return found

    # Losers of the first round are known from the same four comparisons that make its winners.
    counting = Counting(bradley_terry(torch.arange(8.0)[None]))
    tournament(counting)
    assert counting.asked == 11


def test_a_pair_whose_winner_does_not_beat_its_loser_is_dropped():
    # a beats b, c beats d; a beats c; d loses to b; in the final check d beats a.
    p = torch.full((4, 4), 0.5)
    for i, j in [(0, 1), (2, 3), (0, 2), (1, 3), (3, 0)]:
        p[i, j], p[j, i] = 0.9, 0.1
    winner, loser, kept = tournament(p[None])
    assert (winner.item(), loser.item(), kept.item()) == (0, 3, False)


def test_best_and_worst_differ_even_where_all_are_equal():
    winner, loser, _ = best_worst(torch.full((1, 4, 4), 0.5))
    assert winner.item() != loser.item()


def test_an_independent_pairs_winner_is_drawn_with_its_probability():
    p = bradley_terry(torch.tensor([[1.0, 0.0, 5.0]])).expand(1000, 3, 3)
    winner, loser, _ = iid(p, torch.arange(1000) / 1000)
    assert (winner + loser == 1).all()
    assert abs((winner == 0).float().mean().item() - torch.tensor(1.0).sigmoid().item()) < 2e-3
