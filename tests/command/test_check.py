"""Values and combinations, on one composed config that each test changes in one place."""

import copy
import subprocess
import sys

import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.core.error import UserError


@pytest.fixture(scope="module")
def default():
    return compose([])[0].config


@pytest.fixture(scope="module")
def warm_soup():
    return compose(["reward=warm", "reference=soup"])[0].config


@pytest.fixture(scope="module")
def inpo():
    return compose(["optimizer=inpo"])[0].config


def changed(config, key, value):
    result = copy.deepcopy(config)
    *path, last = key.split(".")
    node = result
    for name in path:
        node = node[name]
    if value is KeyError:
        del node[last]
    else:
        node[last] = value
    return result


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("optimizer.gamma", "abc", "optimizer.gamma=abc: must be a number"),
        ("optimizer.gamma", "0.5", "optimizer.gamma=0.5: must be a number"),
        ("optimizer.gamma", 1.5, "optimizer.gamma=1.5: must be at most 1"),
        ("optimizer.gamma", None, "optimizer.gamma=null: must be a number"),
        ("optimizer.gamma", float("nan"), "optimizer.gamma=nan: not a number"),
        ("num_steps", 0, "num_steps=0: must be more than 0"),
        ("num_steps", 2.0, "num_steps=2.0: must be a whole number"),
        ("seed", True, "seed=true: must be a whole number"),
        ("seed", -1, "seed=-1: must be at least 0"),
        ("optimizer.whiten_rewards", 1, "optimizer.whiten_rewards=1: must be true or false"),
        ("optimizer.critic", "shard", "(did you mean 'shared'?)"),
        ("optimizer.critic", 3, "optimizer.critic=3: must be"),
        ("torch_optimizer.schedule", "cosin", "must be 'constant', 'linear' or 'cosine' (did you mean 'cosine'?)"),
        ("reward_model.dropouts", [0.1, 2], "reward_model.dropouts.1=2: must be at most 1"),
        ("reward_model.dropouts", 0.1, "reward_model.dropouts=0.1: must be a list"),
        ("evaluation", 3, "evaluation=3: has settings of its own; write evaluation.<setting>=value"),
        ("name", 7, "name=7: must be text"),
        ("name", "a/b", "it has a '/'"),
        ("optimizer.foo", 1, "no setting called 'optimizer.foo'"),
        ("optimizer.gamma", KeyError, "optimizer.gamma is missing"),
        ("world._target_", KeyError, "world=lab: its YAML needs a line `_target_: package.module.Class`"),
        ("world._target_", "rlx.world.lab.Lob", "no class in rlx.world.lab called 'Lob' (did you mean 'Lab'?)"),
        ("world._target_", "nowhere.Lab", "world._target_: nowhere.Lab is outside of rlx"),
        ("world._target_", "rlx.world.nowhere.Lab", "world._target_: no module 'rlx.world.nowhere'"),
        ("num_prompts", 63, "choose num_prompts=64"),
        ("sampler.max_new_tokens", 65, "more than world.max_completion_tokens=64"),
        ("world.label_noise", 0.5, "world.label_noise=0.5: at 0.5 labels say nothing"),
        ("evaluation.interval", 101, "nothing would be measured along training"),
        ("torch_optimizer.warmup_steps", 100_000, "the full rate is never reached"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_it_may_be(default, key, value, says):
    with pytest.raises(UserError) as raised:
        checked(changed(default, key, value))
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_an_ensemble_of_one_and_a_soup_of_one_end_a_sweep(warm_soup):
    assert checked(changed(warm_soup, "reward.num_members", 1))["reward"]["num_members"] == 1
    assert checked(changed(warm_soup, "reference.num_policies", 1))["reference"]["num_policies"] == 1


@pytest.mark.parametrize(("old", "new"), [("reward_clip", "clip"), ("missing_eos_penalty", "missing_eos_penalty")])
def test_the_old_place_of_what_every_optimizer_sees_is_answered_with_the_new_one(default, old, new):
    says = rf"no setting called 'optimizer\.{old}': it holds for every optimizer and is now proxy\.{new}$"
    with pytest.raises(UserError, match=says):
        compose([f"optimizer.{old}=1"])
    with pytest.raises(UserError, match=says):
        checked(changed(default, f"optimizer.{old}", 1.0))


def test_a_preset_of_one_slot_is_refused_in_the_other():
    with pytest.raises(UserError, match="identical_members belongs into the slot supervised@reward_model"):
        checked(compose(["supervised@sft=identical_members"])[0].config)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["optimizer=superhf", "optimizer.num_kept=17"], "optimizer.num_kept=17 is more than optimizer.num_samples=16"),
        (["reward=ensemble_uwo", "reward.num_members=1", "reward.ddof=1"], "no variance; use reward.ddof=0"),
        (["reference=soup", "reference.num_policies=1", "reference.alpha=0.5"], "there is no other policy"),
        (["world.bad_share=0.7", "world.good_share=0.4"], "world.bad_share=0.7 and world.good_share=0.4 sum to more"),
        (["sft.snapshots=[1.0]"], "sft.snapshots=[1.0]: every share must lie between 0 and 1"),
        (["reward_model.dropouts=[]"], "reward_model.dropouts is empty; give at least one value"),
        (["reward_model.completions_per_prompt=3"], "reward_model.completions_per_prompt=3: must be even"),
        (
            ["reward_model.trunks=snapshots", "reward_model.num_trunks=4", "sft.snapshots=[0.5,0.75]"],
            "reward_model.num_trunks=4 with trunks=snapshots needs 3 entries in sft.snapshots; it has 2",
        ),
    ],
)
def test_a_choice_says_what_cannot_work_before_anything_is_made(typed, says):
    with pytest.raises(UserError) as raised:
        checked(compose(typed)[0].config)
    assert says in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "gold_share",
            0.8,
            "world.heldout_share + world.gold_share + world.demonstration_share must leave "
            "something for the proxies: they sum to 1.1, make them less than 1",
        ),
        ("max_pairs", 9, "world.max_pairs=9 is less than world.min_pairs=10; raise the first"),
        ("prompt_template", "Q:", "world.prompt_template='Q:' must have {prompt} exactly once"),
        ("path", None, "world=preferences needs world.path=<file, folder or dataset on the Hub>"),
    ],
)
def test_preferences_that_cannot_serve_are_refused_before_a_file_is_opened(key, value, says):
    typed = ["world=preferences", "world.path=nowhere.jsonl", "model=pretrained", "model.path=somewhere"]
    config = changed(compose(typed)[0].config, "world.min_pairs", 10)
    with pytest.raises(UserError) as raised:
        checked(changed(config, f"world.{key}", value))
    assert str(raised.value) == says


def test_processes_that_do_not_divide_into_engines_are_refused():
    vllm = compose(["sampler=vllm", "compute=ddp", "compute.num_processes=4"])[0].config
    assert checked(changed(vllm, "sampler.tensor_parallel_size", 2))["sampler"]["mode"] == "colocate"
    vllm = changed(vllm, "sampler.tensor_parallel_size", 3)
    with pytest.raises(UserError, match=r"no multiple of it; choose a compute with compute\.num_processes=6"):
        checked(vllm)
    assert checked(changed(vllm, "sampler.mode", "server"))  # the server has processes of its own


def test_best_of_one_and_a_beta_to_steer_without_steps_are_refused_and_a_short_interval_is_not():
    bon = compose(["optimizer=bon"])[0].config
    with pytest.raises(UserError, match=r"optimizer\.num_samples=1: the best of 1 is the policy itself"):
        checked(changed(bon, "optimizer.num_samples", 1))
    with pytest.raises(UserError, match="has no steps over which beta could be steered"):
        checked(changed(bon, "regularizer.target", 4.0))
    assert checked(changed(bon, "num_steps", 1))["num_steps"] == 1  # neither is read


def test_the_best_step_is_kept_where_there_are_steps_and_prompts_to_choose_and_to_measure_on(default):
    kept = changed(default, "checkpoint.keep_best", "gold")
    assert checked(kept)["checkpoint"]["keep_best"] == "gold"
    with pytest.raises(UserError, match="keep_best=proxy: must be 'gold'"):
        checked(changed(default, "checkpoint.keep_best", "proxy"))
    with pytest.raises(UserError, match=r"evaluation.num_prompts=3: checkpoint.keep_best=gold .* take at least 4"):
        checked(changed(kept, "evaluation.num_prompts", 3))
    with pytest.raises(UserError, match=r"evaluation.final_num_prompts=100 is less .* take at least 128"):
        checked(changed(kept, "evaluation.final_num_prompts", 100))
    bon = compose(["optimizer=bon", "checkpoint.keep_best=gold"])[0].config
    with pytest.raises(UserError, match="optimizer=bon has no steps to choose from"):
        checked(bon)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer.num_samples": 1}, "optimizer.num_samples=1: inpo learns from pairs of completions"),
        ({"optimizer.num_samples": 6}, "optimizer.num_samples=6: a tournament halves its entrants round by round; "
         "choose a power of two, 4 or 8, or optimizer.pairing=best_worst"),
        ({"optimizer.num_samples": 6, "optimizer.pairing": "best_worst"}, None),
        ({"optimizer.num_samples": 2}, None),
        ({"regularizer.beta": 0.2}, "regularizer.beta=0.2 is more than optimizer.eta=0.1: "),
        ({"regularizer.beta": 0.2, "optimizer.eta": 0.2}, None),
        ({"regularizer.target": 6.0}, "regularizer.target=6.0: inpo approaches the equilibrium of one game"),
        ({"optimizer.oracle": "preference"}, None),
    ],
)  # fmt: skip
def test_a_game_is_played_by_pairs_and_in_steps_that_its_theory_knows(inpo, changes, says):
    for key, value in changes.items():
        inpo = changed(inpo, key, value)
    if says is None:
        checked(inpo)
        return
    with pytest.raises(UserError) as raised:
        checked(inpo)
    assert says in str(raised.value)


def test_the_rules_of_a_game_bind_no_other_optimizer(default):
    checked(changed(changed(default, "regularizer.beta", 5.0), "optimizer.num_samples", 3))


def test_an_oracle_that_the_world_does_not_have_is_refused_before_anything_is_made():
    typed = ["optimizer=inpo", "optimizer.oracle=preference", "world=preferences", "world.path=pairs.jsonl"]
    with pytest.raises(UserError, match="world=preferences has pairs but no preference model"):
        checked(compose([*typed, "model=pretrained", "model.path=somewhere"])[0].config)


def test_a_number_written_1_and_one_written_1_point_0_are_one_content(default):
    config = checked(changed(default, "optimizer.gamma", 1))
    assert config == checked(changed(default, "optimizer.gamma", 1.0))
    assert isinstance(config["optimizer"]["gamma"], float)


def test_a_number_in_scientific_notation_is_a_number():
    config = checked(compose(["torch_optimizer.learning_rate=1e-5", "num_steps=100"])[0].config)
    assert config["torch_optimizer"]["learning_rate"] == 0.00001


def test_what_was_checked_can_be_checked_again(default):
    assert checked(checked(default)) == checked(default)


def test_the_directories_are_absolute_wherever_a_worker_starts(default, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = checked(changed(default, "cache_dir", "~/cache"))
    assert config["cache_dir"] == "/home/someone/cache" and config["runs_dir"].startswith("/")


def test_the_check_imports_neither_torch_nor_a_choice():
    code = (
        "import sys; from rlx.command.check import checked; from rlx.command.compose import compose\n"
        "checked(compose(['reward=warm', 'regularizer=chi2'])[0].config)\n"
        "CHOICES = ('rlx.reward.', 'rlx.world.', 'rlx.optimizer.', 'rlx.regularizer.', 'rlx.model.', 'rlx.supervised.')\n"
        "bad = [m for m in sys.modules if m == 'torch' or (m.startswith(CHOICES) and not m.endswith('_rules'))]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_what_a_type_admits_is_worked_out_once_for_all_cells(default):
    from rlx.command import check

    checked(default)
    before = check._made_adapter.cache_info().misses
    checked(default)
    assert check._made_adapter.cache_info().misses == before > 0
