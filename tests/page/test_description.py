import dataclasses

from rlx.core.record import load_record
from rlx.page.description import describe
from tests.synthetic_run import write_run


def test_a_run_is_told_in_one_sentence(tmp_path):
    assert describe(load_record(write_run(tmp_path))) == (
        "PPO against 5 reward models averaged into one (WARM) trained on preferences of which 25 % are flipped, held "
        "by a KL penalty (β = 0.05) to a soup of 3 SFT policies, in world lab with model lab: 80 steps of 64 prompts, "
        "seed 0."
    )


def test_a_choice_of_one_s_own_is_told_as_it_was_typed(tmp_path):
    record = load_record(write_run(tmp_path))
    config = {**record.config, "choices": {"reward": "my_own"}, "data_seed": 4}
    assert "against reward=my_own trained" in describe(dataclasses.replace(record, config=config))
    assert describe(dataclasses.replace(record, config=config)).endswith("seed 0, data seed 4.")


def test_a_penalty_of_nothing_is_not_told_as_a_penalty(tmp_path):
    record = load_record(write_run(tmp_path))
    config = {**record.config, "regularizer": {**record.config["regularizer"], "beta": 0}}
    told = describe(dataclasses.replace(record, config=config))
    assert "free to leave (β = 0) a soup" in told and "penalty" not in told
