import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError
from rlx.run.name import run_name


def test_a_depth_is_of_a_separate_critic():
    with pytest.raises(UserError, match=r"optimizer.critic_depth=0.5: optimizer.critic=shared is a head"):
        checked(compose(["optimizer.critic_depth=0.5"])[0].config)
    checked(compose(["optimizer.critic_depth=0.5", "optimizer.critic=separate"])[0].config)


def test_runs_with_a_whole_critic_keep_their_names():
    config = checked(compose([])[0].config)
    without = {**config, "optimizer": {k: v for k, v in config["optimizer"].items() if k != "critic_depth"}}
    assert run_name(config) == run_name(without)
