from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score

from rlx.bilevel.penalty import psi, psi_gradient
from rlx.cleaner.bilevel import BOUND, Bilevel, HyperCleaning, preference_loss
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.model.probe import bradley_terry
from tests.cleaner.pairs import evidence, nothing

CLEANER = Bilevel(
    num_trusted=100,
    features="trunk",
    l2=1e-2,
    loop="double",
    start="even",
    num_steps=100,
    num_inner=3,
    batch_size=None,
    weight_step=1.0,
    score_step=1.0,
    first_sigma=1.0,
    last_sigma=0.1,
    momentum=0.9,
)


def auc(cleaner: Bilevel, given) -> float:
    return float(roc_auc_score(~given.flipped_B, cleaner.weights(given, nothing)))


def solutions(problem: HyperCleaning, x, sigma: float):
    """argmin of h_sigma and of g, each by L-BFGS: sigma f is the same loss on other pairs with other weights."""
    train, trusted = problem.differences_BH, problem.trusted_TH
    number, weights = len(train) + len(trusted), torch.sigmoid(x) / len(train)
    joint = torch.cat([weights, torch.full((len(trusted),), sigma / len(trusted), dtype=torch.float64)])
    y = bradley_terry(torch.cat([train, trusted]), problem.l2, joint * number)
    return y, bradley_terry(train, problem.l2, torch.sigmoid(x))


def test_the_lower_level_is_the_weighed_bradley_terry_loss():
    given = evidence(num_pairs=3, num_trusted=2)
    problem = HyperCleaning(given.differences_BH, given.trusted_TH, 0.1, None)
    x, y = torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64), torch.full((8,), 0.5, dtype=torch.float64)
    weights = (0.5, 0.8807970780, 0.2689414214)
    losses = [float(torch.log1p(torch.exp(-(d @ y)))) for d in given.differences_BH]
    by_hand = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / 3
    assert float(problem.lower(x, y, None)) == pytest.approx(by_hand + 0.05 * 8 * 0.25, rel=1e-9)
    assert float(problem.upper(x, y, None)) == pytest.approx(float(preference_loss(given.trusted_TH, y).mean()))
    # A minibatch of all pairs, each once, is all pairs.
    torch.testing.assert_close(problem.lower(x, y, torch.tensor([2, 0, 1])), problem.lower(x, y, None))


def test_the_gradient_of_the_weights_is_the_slope_of_psi_sigma():
    given = evidence(num_pairs=12, num_trusted=6)
    problem = HyperCleaning(given.differences_BH, given.trusted_TH, 0.1, None)
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)

    def value(at):
        return float(psi(problem, at, *solutions(problem, at, 0.2), 0.2))

    found = psi_gradient(problem, x, *solutions(problem, x, 0.2), 0.2)
    for i in (0, 5, 11):
        step = torch.zeros(12, dtype=torch.float64)
        step[i] = 1e-4
        assert (value(x + step) - value(x - step)) / 2e-4 == pytest.approx(float(found[i]), abs=1e-6)


def test_smoothness_bounds_the_curvature():
    given = evidence(num_pairs=50, num_trusted=20)
    problem = HyperCleaning(given.differences_BH, given.trusted_TH, 0.1, None)
    y = torch.zeros(8, dtype=torch.float64)  # where the loss is as curved as it gets
    x = torch.full((50,), 9.0, dtype=torch.float64)
    for loss in (problem.upper, problem.lower):
        hessian = torch.autograd.functional.hessian(lambda at, loss=loss: loss(x, at, None), y)
        assert torch.linalg.eigvalsh(hessian)[-1] <= problem.smoothness()


@pytest.mark.parametrize("loop", ["double", "single"])
@pytest.mark.parametrize("start", ["even", "small_loss"])
def test_flipped_pairs_get_the_small_weights(loop, start):
    given = evidence(noise=0.3)
    cleaner = replace(CLEANER, loop=loop, start=start, num_steps=100 if loop == "double" else 300)
    assert auc(cleaner, given) > 0.88


def test_minibatches_find_them_too():
    assert auc(replace(CLEANER, batch_size=64, num_steps=200), evidence(noise=0.3)) > 0.85


def test_the_score_fitted_to_the_weighed_pairs_is_better_than_that_fitted_to_all():
    given, fresh = evidence(noise=0.4), evidence(noise=0.0, num_pairs=4000, seed=1).differences_BH
    weights = CLEANER.weights(given, nothing)
    noisy, cleaned = (bradley_terry(given.differences_BH, 1e-2, w) for w in (None, weights / weights.mean()))
    losses = [float(preference_loss(fresh, y).mean()) for y in (noisy, cleaned)]
    assert losses[1] < losses[0] - 0.1


def test_without_a_flipped_label_the_weights_do_not_fall_on_average():
    assert float(CLEANER.weights(evidence(noise=0.0), nothing).mean()) >= 0.5


def test_weights_lie_within_their_bound_and_follow_from_the_seed():
    given = evidence()
    cleaner = replace(CLEANER, weight_step=1e3, batch_size=32)
    one, again = (cleaner.weights(given, nothing) for _ in range(2))
    bound = float(torch.sigmoid(torch.tensor(BOUND, dtype=torch.float64)))
    assert torch.equal(one, again) and 1 - bound <= one.min() < 0.01 and 0.99 < one.max() <= bound
    assert not torch.equal(one, cleaner.weights(replace(given, seed=1), nothing))


def test_progress_is_told_at_every_step():
    told = []
    replace(CLEANER, num_steps=7).weights(evidence(num_pairs=20), lambda: told.append(1))
    assert len(told) == 7


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["cleaner.num_trusted=0"], r"cleaner.num_trusted=0: must be more than 0"),
        (["cleaner.last_sigma=20"], r"cleaner.last_sigma=20 is more than cleaner.first_sigma=10: sigma falls"),
        (["cleaner.momentum=1"], r"cleaner.momentum=1: the first direction would be kept"),
        (["reward=gold"], r"cleaner=bilevel weighs the pairs of reward models, and reward=gold has none"),
    ],
)
def test_what_cannot_work_is_one_line(words, line):
    with pytest.raises(UserError, match=line):
        checked(compose(["cleaner=bilevel", *words])[0].config)
