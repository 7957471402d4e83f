import pytest

from rlx.estimate.duration import PastRun, completions, evaluated, from_past, of_artefacts, updates

CONFIG = {
    "world": {"_target_": "w"},
    "model": {"_target_": "m"},
    "reward": {"_target_": "r"},
    "reference": {"_target_": "f"},
    "compute": {"_target_": "c"},
    "optimizer": {"_target_": "o", "num_samples": 2, "num_epochs": 4, "num_minibatches": 3},
    "num_steps": 10,
    "num_prompts": 6,
    "evaluation": {"interval": 5, "num_prompts": 7, "final_num_prompts": 11},
}


def test_the_work_is_counted():
    assert completions(CONFIG) == 10 * 6 * 2
    assert updates(CONFIG) == 10 * 4 * 3
    assert evaluated(CONFIG) == 3 * 7 + 2 * 11  # at steps 0, 5 and 10; at the end the policy and its start


def test_best_of_n_draws_pools_and_learns_nothing():
    bon = {"_target_": "rlx.optimizer.bon.BoN", "num_samples": 8, "distill": False, "num_distilled": 5}
    assert completions(CONFIG | {"optimizer": bon}) == 7 * 8
    assert completions(CONFIG | {"optimizer": bon | {"distill": True}}) == (7 + 5) * 8
    assert updates(CONFIG | {"optimizer": bon}) == 0


def test_a_longer_run_takes_longer_in_proportion():
    past = PastRun("past", CONFIG, {"reward model 0": 100.0, "policy": 30.0, "final measurement": 4.0})
    estimate = from_past(CONFIG | {"num_steps": 40}, [past])
    assert estimate is not None and estimate.seconds == pytest.approx({"policy": 120.0, "final measurement": 4.0})


def test_the_run_most_alike_is_taken_and_one_of_another_model_never():
    other_reward = PastRun("far", CONFIG | {"reward": {"_target_": "x"}}, {"policy": 1.0})
    same = PastRun("near", CONFIG, {"policy": 2.0})
    estimate = from_past(CONFIG, [other_reward, same])
    assert estimate is not None and "near" in estimate.source
    assert from_past(CONFIG | {"model": {"_target_": "y"}}, [same]) is None


def test_an_artefact_takes_what_the_longest_of_its_kind_took_and_one_that_was_only_found_tells_nothing():
    cold = PastRun("cold", CONFIG, {"reward model 0": 20.0, "reward model 1": 30.0, "score head": 0.01, "policy": 99.0})
    assert of_artefacts(CONFIG, ["reward model 2", "reward model 3"], [cold]) == (60.0, [])
    assert of_artefacts(CONFIG, ["score head", "SFT policy 0"], [cold]) == (0.01, ["score head", "SFT policy 0"])
