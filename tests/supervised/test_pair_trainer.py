import copy

import pytest
import torch
from word_world import pretrained

from rlx.artefact.store import TrainingContext
from rlx.supervised import trl_trainers
from rlx.supervised.pair_trainer import PairTrainer, weighted_bradley_terry
from rlx.supervised.trl_trainers import FitSettings, fit_reward_model

ROWS = [{"chosen_ids": [1, 4 + i, 8, 2], "rejected_ids": [1, 4 + i, 9, 9, 2]} for i in range(4)]
SWAPPED = {"chosen_ids": [1, 5, 9, 2], "rejected_ids": [1, 5, 8, 2]}


def settings(**changes) -> FitSettings:
    numbers = dict(
        name="reward model", learning_rate_key="lr", num_epochs=2.0, batch_size=4, micro_batch_size=None,
        learning_rate=1e-2, schedule="constant", warmup_share=0.0, weight_decay=0.0, max_grad_norm=1e9,
        gradient_checkpointing=False, seed=0,
    )  # fmt: skip
    return FitSettings(**numbers | changes)  # pyright: ignore


@pytest.fixture
def fitted(base, tmp_path):
    """fitted(rows): the weights of the very same trunk after training on `rows`."""
    model = pretrained(base)
    torch.manual_seed(0)
    trunk = model.reward_trunk(base)

    def fit(rows, **changes):
        context = TrainingContext(tmp_path / str(len(list(tmp_path.iterdir()))))
        made = fit_reward_model(copy.deepcopy(trunk), model.tokenizer(), rows, None, settings(**changes), context)
        return made.state_dict()

    return fit


def weighted(rows, weights):
    return [row | {"weight": w} for row, w in zip(rows, weights, strict=True)]


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_is_the_weighted_mean_of_the_pairs_losses():
    chosen, rejected, weight = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([0.5, 3.0])
    # (.5 log(1 + e^-1) + 3 log(1 + e^2))/2 = (.5 x .3132617 + 3 x 2.1269280)/2
    assert weighted_bradley_terry(chosen, rejected, weight) == pytest.approx(3.2687075)


def test_weights_of_one_train_the_very_weights_of_trls_own_trainer(fitted):
    assert same(fitted(ROWS), fitted(weighted(ROWS, [1.0] * 4)))


def test_a_weight_of_nought_takes_the_pair_out_of_the_gradient(fitted):
    """The other pair of the batch is what the model does not learn from, whatever it says."""
    one, other = (fitted(weighted([*ROWS[:3], row], [1.0, 1.0, 1.0, 0.0])) for row in (ROWS[3], SWAPPED))
    assert same(one, other)
    assert not same(one, fitted(weighted([*ROWS[:3], SWAPPED], [1.0, 1.0, 1.0, 0.1])))


def test_weights_follow_their_pairs_through_micro_batches(fitted):
    whole, parts = (fitted(weighted(ROWS, [2.0, 0.0, 1.0, 0.5]), micro_batch_size=n) for n in (None, 1))
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], atol=2e-4, rtol=1e-3)


def test_rows_without_weights_keep_trls_own_trainer(fitted, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(trl_trainers, "PairTrainer", refused)
    fitted(ROWS)
    with pytest.raises(AssertionError):
        fitted(weighted(ROWS, [1.0] * 4))
    assert issubclass(PairTrainer, trl_trainers.RewardTrainer)
