import pytest

from rlx.command.advice import advice

CLASSES = {"lab": "Lab", "pretrained": "Pretrained", "kl": "KL", "chi2": "Chi2"}


def config(kind="kl", steps=100, model="lab", **regularizer):
    return {
        "model": {"_target_": f"rlx.model.{model}.{CLASSES[model]}"},
        "num_steps": steps,
        "num_prompts": 64,
        "optimizer": {"_target_": "rlx.optimizer.ppo.PPO", "num_samples": 1},
        "regularizer": {
            "_target_": f"rlx.regularizer.{kind}.{CLASSES[kind]}",
            "beta": 0.05,
            "target": None,
            "horizon": 1500,
        }
        | regularizer,
    }


@pytest.mark.parametrize("kind", ["kl", "chi2"])
def test_a_fixed_beta_needs_no_advice(kind):
    assert advice(config(kind)) == []


def test_the_default_horizon_lets_a_default_run_reach_its_target():
    assert advice(config(target=6.0)) == []


def test_a_horizon_that_pins_beta_is_named_with_one_that_does_not():
    (line,) = advice(config(target=6.0, horizon=10000))
    assert "factor of 1.14" in line and "a horizon of 1847 or less" in line
    assert advice(config(target=6.0, horizon=1846)) == []


def test_a_target_in_chi2_is_advised_against():
    (line,) = advice(config("chi2", target=6.0))
    assert "one completion can decide" in line


def test_a_pretrained_model_with_the_run_of_the_lab_is_told_the_size_of_publications():
    (line,) = advice(config(model="pretrained"))
    assert "6,400 completions" in line and "scale=research" in line
    assert advice(config(model="pretrained", steps=400)) == []
