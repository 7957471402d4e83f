import pytest

from rlx.cleaner.oracle import Oracle
from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from tests.cleaner.pairs import evidence, nothing


def test_the_flipped_pairs_are_dropped_and_no_other():
    given = evidence(noise=0.3, num_pairs=10)
    weights = Oracle(20, "trunk", 1e-2).weights(given, nothing)
    assert [w == 0 for w in weights.tolist()] == given.flipped_B.tolist() and weights.sum() == 7


def test_an_oracle_needs_flips():
    with pytest.raises(UserError, match=r"cleaner=oracle .* world.label_noise is 0: set it"):
        checked(compose(["cleaner=oracle", "world.label_noise=0"])[0].config)
