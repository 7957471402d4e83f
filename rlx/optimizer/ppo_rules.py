"""A critic on the policy's own trunk has its depth."""

from rlx.core.rules import Config


def only_a_separate_critic_has_a_depth(config: Config) -> str | None:
    critic, depth = config["optimizer"]["critic"], config["optimizer"]["critic_depth"]
    if critic == "separate" or depth == 1:
        return None
    return (
        f"optimizer.critic_depth={depth:g}: optimizer.critic={critic} is a head on the policy's trunk; set "
        "optimizer.critic=separate, or leave the depth at 1"
    )


RULES = (only_a_separate_critic_has_a_depth,)
