from rlx.run.name import differences, run_name

CONFIG = {
    "seed": 3,
    "data_seed": 0,
    "name": None,
    "cache_dir": "/a",
    "runs_dir": "/b",
    "num_steps": 80,
    "reward": {"_target_": "rlx.reward.warm.WARM", "num_members": 5},
    "tracker": {"_target_": "rlx.tracker.wandb.Wandb"},
    "compute": {"_target_": "rlx.compute.cpu.CPU"},
    "choices": {
        "reward": "warm",
        "reference": "soup",
        "optimizer": "ppo",
        "regularizer": "kl",
        "world": "lab",
        "tracker": "wandb",
    },
}


def hash8(config):
    return run_name(config).split("-")[5]


def test_the_name_says_cell_content_and_seed():
    # printf '{"data_seed": 0, "num_steps": 80, "reward": {"_target_": "rlx.reward.warm.WARM", "num_members": 5}}' |
    # sha256sum | cut -c1-8
    assert run_name(CONFIG) == "warm-soup-ppo-kl-lab-fab15687-seed3"


def test_where_things_lie_and_who_is_told_is_no_content():
    for key in ("cache_dir", "runs_dir", "tracker", "compute", "seed"):
        assert hash8(CONFIG | {key: "other"}) == hash8(CONFIG)
    assert hash8(CONFIG | {"checkpoint": {"interval": 3, "keep_best": None}}) == hash8(CONFIG)


def test_keeping_the_best_step_is_content_though_other_checkpoints_are_not():
    best = {"interval": 3, "keep_best": "gold"}
    assert hash8(CONFIG | {"checkpoint": best}) != hash8(CONFIG)
    assert hash8(CONFIG | {"checkpoint": best | {"interval": 4}}) == hash8(CONFIG | {"checkpoint": best})


def test_what_decides_the_numbers_is_content():
    for key, value in (("num_steps", 81), ("data_seed", 1), ("reward", {"num_members": 6})):
        assert hash8(CONFIG | {key: value}) != hash8(CONFIG)


def test_the_order_of_keys_does_not_matter():
    assert run_name(dict(reversed(CONFIG.items()))) == run_name(CONFIG)


def test_a_given_name_replaces_cell_and_content_but_not_the_seed():
    assert run_name(CONFIG | {"name": "mine"}) == "mine-seed3"


def test_a_choice_in_a_folder_of_its_own_stays_one_directory():
    nested = CONFIG | {"choices": CONFIG["choices"] | {"world": "real/alpaca"}}
    assert "/" not in run_name(nested)


def test_differences_name_dotted_keys_with_both_values():
    old = {"a": {"b": 1, "c": [1]}, "gone": 2}
    new = {"a": {"b": 2, "c": [1]}, "new": "x"}
    assert differences(old, new) == ["a.b (1 there, 2 now)", "gone (2 there, null now)", 'new (null there, "x" now)']
