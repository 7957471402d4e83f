from pathlib import Path

import pytest
from word_world import WordWorld, pretrained, reward_model, save_model, sft

from rlx.artefact.store import Store
from rlx.supervised.reward_model import RewardMember
from rlx.supervised.sft import SFTPolicy


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A random Llama that speaks the word world's language."""
    return save_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Store:
    """One for all tests: what one of them trains, the others find."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def policy(base):
    """policy(index, **changes of the SFT numbers)"""
    return lambda index=0, **changes: SFTPolicy(WordWorld(), pretrained(base), sft(**changes), index)


@pytest.fixture
def member(base):
    """member(index, world, **changes of the reward model's numbers)"""

    def make(index: int = 0, world: WordWorld | None = None, **changes) -> RewardMember:
        world = world or WordWorld()
        return RewardMember(world, pretrained(base), sft(), reward_model(**changes), world.label_noise, index)

    return make
