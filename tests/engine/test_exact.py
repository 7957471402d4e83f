"""Optimisers through the real engine where the optimum is known: one-token policies over eight moves."""

import pytest
import torch
from bandit import MOVES, play

from rlx.optimizer.inpo import INPO
from rlx.optimizer.ppo import PPO
from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL

REF = [0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2]
REWARDS = [0.2, -0.4, 1.0, 0.0, 0.6, -0.2, 0.3, -1.0]
PPO_NUMBERS = PPO(
    num_samples=8, num_epochs=2, num_minibatches=2, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
    value_coefficient=0.1, entropy_coefficient=0.0, critic="shared", whiten_rewards=False,
)  # fmt: skip


def kl(beta: float) -> KL:
    return KL(beta=beta, target=None, horizon=1e4)


def chi2(beta: float, root: bool = False) -> Chi2:
    return Chi2(beta=beta, root=root, max_log_ratio=10, floor=1e-4, target=None, horizon=1e4)


def distance(p: torch.Tensor, q: torch.Tensor) -> float:
    """Total variation: half the sum of |p - q|."""
    return (p - q).abs().sum().item() / 2


def tilted(beta: float) -> torch.Tensor:
    """ref exp(r / beta) / Z, which maximises E[r] - beta KL(pi || ref)."""
    return (torch.tensor(REF).double().log() + torch.tensor(REWARDS).double() / beta).softmax(-1)


def cut(beta: float) -> torch.Tensor:
    """ref max(0, 1 + (r - nu) / (2 beta)), which maximises E[r] - beta E_ref[(pi / ref - 1)^2]; nu by bisection."""
    ref, rewards = torch.tensor(REF).double(), torch.tensor(REWARDS).double()
    low, high = -10.0, 10.0
    for _ in range(100):
        nu = (low + high) / 2
        total = (ref * (1 + (rewards - nu) / (2 * beta)).clamp(min=0)).sum()
        low, high = (nu, high) if total > 1 else (low, nu)
    return ref * (1 + (rewards - low) / (2 * beta)).clamp(min=0)


def root_of_chi2(policy: torch.Tensor) -> float:
    ref = torch.tensor(REF).double()
    return (ref * (policy / ref - 1).square()).sum().sqrt().item()


def cut_by_root(beta: float) -> torch.Tensor:
    """The policy that maximises E[r] - beta sqrt(chi2): where sqrt(chi2) = s, its slope is that of beta / (2 s) chi2.
    The larger s, the weaker that pull and the further `cut` goes; their meeting point by bisection."""
    low, high = 1e-6, 10.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if root_of_chi2(cut(beta / (2 * middle))) > middle else (low, middle)
    return cut(beta / (2 * low))


def test_the_two_optima_are_what_they_are_said_to_be():
    """Both objectives are concave: at the optimum r - beta f'(pi / ref) is the same for every move that is played."""
    ref, rewards = torch.tensor(REF).double(), torch.tensor(REWARDS).double()
    kl_level = rewards - 0.5 * (tilted(0.5) / ref).log()
    assert kl_level.max() - kl_level.min() < 1e-12
    best = cut(0.2)  # moves 1 and 7 are not worth playing at all
    level = rewards - 0.2 * 2 * (best / ref - 1)
    played = best > 0
    assert best.sum() == pytest.approx(1) and played.tolist() == [True, False, True, True, True, True, True, False]
    assert level[played].max() - level[played].min() < 1e-9 and level[~played].max() < level[played].min()


def test_ppo_with_kl_reaches_the_reference_tilted_by_the_exponential_reward(tmp_path):
    policy = play(PPO_NUMBERS, kl(0.3), REF, tmp_path, steps=40, lr=3e-3, scores=REWARDS)
    assert distance(tilted(0.3), torch.tensor(REF)) > 0.5
    assert distance(policy, tilted(0.3)) < 0.01


@pytest.mark.parametrize("beta", [1.0, 0.2])
def test_ppo_with_chi2_reaches_the_reference_tilted_linearly_and_cut_at_zero(tmp_path, beta):
    policy = play(PPO_NUMBERS, chi2(beta), REF, tmp_path, steps=40, lr=3e-3, scores=REWARDS)
    assert distance(cut(beta), torch.tensor(REF)) > 0.12
    assert distance(policy, cut(beta)) < 0.01


@pytest.mark.parametrize("beta", [0.2, pytest.param(0.4, marks=pytest.mark.slow), 0.8])
def test_ppo_with_the_root_of_chi2_which_is_the_default_reaches_its_optimum(tmp_path, beta):
    """At .8, more than the rewards' SD under the reference, the best policy is the reference."""
    ref, rewards = torch.tensor(REF).double(), torch.tensor(REWARDS).double()

    def objective(policy: torch.Tensor) -> float:
        return (policy @ rewards).item() - beta * root_of_chi2(policy)

    wanted = cut_by_root(beta) if beta < 0.8 else ref
    near = (0.999 * wanted + 0.001 * policy for policy in torch.eye(8).double())
    assert all(objective(policy) < objective(wanted) for policy in near)
    policy = play(PPO_NUMBERS, chi2(beta, root=True), REF, tmp_path, steps=60, lr=3e-3, scores=REWARDS)
    assert distance(policy, wanted) < 0.05 and objective(policy) > objective(wanted) - 0.01


# Moves 2, 3, 4 are rock, paper, scissors: paper beats rock, scissors paper, rock scissors, each with .9; they beat the
# other five with .8, which are equals among themselves. The reference likes rock.
CYCLE = torch.full((8, 8), 0.5).double()
CYCLE[2:5], CYCLE[:, 2:5] = 0.8, 0.2
CYCLE[2:5, 2:5] = torch.tensor([[0.5, 0.1, 0.9], [0.9, 0.5, 0.1], [0.1, 0.9, 0.5]])
LIKES_ROCK = [0.08, 0.08, 0.4, 0.15, 0.05, 0.08, 0.08, 0.08]


class Game:
    """A world's preference model: the game above, by the names of the moves."""

    def probabilities(self, prompt, completions):
        moves = [MOVES.index(completion.text) for completion in completions]
        return CYCLE[moves][:, moves].tolist()


def exploitability(policy: torch.Tensor) -> float:
    """What the best answer to the policy wins beyond one half: 0 for a Nash policy of the unregularised game."""
    return (CYCLE @ policy).max().item() - 0.5


def nash(tau: float, regularizer) -> torch.Tensor:
    """The policy against which P(y > pi) - tau link(pi / ref) is the same for all y, by damped iteration."""
    ref = torch.tensor(LIKES_ROCK).double()
    logits = torch.zeros(8).double()
    for _ in range(20000):
        policy = logits.softmax(-1)
        logits = logits + 0.05 * (CYCLE @ policy - tau * regularizer.link((policy / ref).log()))
        logits = logits - logits.logsumexp(-1)
    return logits.softmax(-1)


def inpo(oracle: str, eta: float) -> INPO:
    return INPO(num_samples=2, num_epochs=2, num_minibatches=4, eta=eta, pairing="iid", oracle=oracle)


@pytest.mark.parametrize("regularizer", [kl(0.1), chi2(0.1)], ids=["kl", "chi2"])
def test_inpo_reaches_the_nash_policy_of_a_game_that_no_reward_describes(tmp_path, regularizer):
    wanted = nash(0.1, regularizer)
    level = CYCLE @ wanted - 0.1 * regularizer.link((wanted / torch.tensor(LIKES_ROCK)).log())
    assert level.max() - level.min() < 1e-6
    policy = play(
        inpo("preference", 1.0), regularizer, LIKES_ROCK, tmp_path, steps=40, lr=5e-3, preference_model=Game(),
        num_prompts=512,
    )  # fmt: skip
    assert distance(policy, wanted) < 0.06


def test_a_reward_made_of_the_same_game_ends_beside_the_nash_policy_and_is_exploited(tmp_path):
    """The reward of a move is its log-odds of beating what the reference plays. The reference likes rock, so paper is
    what pays; that scissors then beat it is nothing that a score of single moves could say."""
    wins = CYCLE @ torch.tensor(LIKES_ROCK).double()
    policy = play(
        inpo("reward", 1.0), kl(0.1), LIKES_ROCK, tmp_path, steps=40, lr=5e-3, scores=wins.logit().tolist(),
        num_prompts=512,
    )  # fmt: skip
    wanted = nash(0.1, kl(0.1))
    assert wanted[4] > 0.15 and policy[4] < 0.05 and distance(policy, wanted) > 0.15
    assert exploitability(policy) > 0.14 > 0.1 > exploitability(wanted)
