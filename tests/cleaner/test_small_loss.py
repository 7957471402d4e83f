import pytest
import torch
from sklearn.metrics import roc_auc_score

from rlx.cleaner.small_loss import SmallLoss, margins, without_largest_losses
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from tests.cleaner.pairs import evidence, nothing


def test_the_pairs_with_the_least_margin_are_dropped():
    margin = torch.tensor([0.3, -2.0, 1.0, -0.1, -5.0])
    assert without_largest_losses(margin, 0.4).tolist() == [1, 0, 1, 1, 0]
    assert without_largest_losses(margin, 0.0).tolist() == [1] * 5


def test_a_margin_is_the_score_of_the_chosen_over_the_rejected():
    given = evidence(noise=0.2)
    margin = margins(given, 1e-2)
    # The gradient of the mean loss, -mean sigmoid(-margin) d + l2 y, is 0 at the fitted y: then y . gradient = 0.
    assert float((torch.sigmoid(-margin) * margin).mean()) > 0
    assert roc_auc_score(~given.flipped_B, margin) > 0.9


def test_as_many_pairs_as_its_share_says_are_dropped_and_most_of_them_are_flipped():
    given = evidence(noise=0.3)
    weights = SmallLoss(100, "trunk", 1e-2, 0.3).weights(given, nothing)
    assert weights.tolist().count(0.0) == 120
    assert float(given.flipped_B[weights == 0].double().mean()) > 0.8


def test_its_share_is_that_of_the_label_noise_unless_set_and_never_all_or_nothing():
    assert checked(compose(["cleaner=small_loss", "world.label_noise=.35"])[0].config)["cleaner"]["drop_share"] == 0.35
    for share in (0, 1):
        with pytest.raises(UserError, match=rf"cleaner.drop_share={share}: choose the share of pairs"):
            checked(compose(["cleaner=small_loss", f"cleaner.drop_share={share}"])[0].config)
