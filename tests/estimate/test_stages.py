"""What stands while artefacts are built, for a small Llama whose passes are traced."""

from estimate.test_memory import config, of_small

from rlx.estimate.memory import PROGRAM
from rlx.estimate.passes import Passes
from rlx.estimate.stages import stages

WORDS = ["compute=cpu", "model.dtype=float32", "world.max_prompt_tokens=6", "world.max_completion_tokens=4"]


def of(*words: str) -> dict[str, int]:
    return {stage.name: stage.bytes - PROGRAM for stage in stages(config(*WORDS, *words), of_small(4))}


def test_a_training_holds_masters_gradients_moments_and_activations_of_its_micro_batch():
    passes = Passes(of_small(4).architecture, "float32", 0, "float32", False)  # pyright: ignore
    found = of("reward=ensemble_mean", "sft.micro_batch_size=8", "reward_model.micro_batch_size=2")
    # summed over micro-batches, the gradients stand beside the activations: 4 + 8 + 4 bytes of each of 1,000 parameters,
    # and those of the next micro-batch's output head, 50 x 8, before they are added
    assert found["SFT policies"] == 16_000 + 4 * 50 * 8 + passes.fitting(8, 10, False, "policy")
    each = 1000 - 50 * 8 + 8  # parameters of a reward model: no output head, and a score head
    assert found["reward models"] == 16 * each + passes.fitting(4, 10, False, "reward")  # chosen and rejected
    whole = of("reward_model.micro_batch_size=null", "reward_model.batch_size=8")
    assert whole["reward models"] == max(12 * each + passes.fitting(16, 10, False, "reward"), 16 * each)
    assert passes.fitting(4, 10, True, "reward") < passes.fitting(4, 10, False, "reward")


def test_drawing_holds_the_policy_and_what_the_batch_needs_and_a_pool_is_drawn_like_a_rollout():
    passes = Passes(of_small(4).architecture, "float32", 0, "float32", False)  # pyright: ignore
    found = of("reward_model.sampling_batch_size=16", "sampler.batch_size=32", "optimizer=bon")
    assert found["reference set, pairs"] == 4000 + passes.drawing(16, 6, 4, False)
    assert found["pools"] == 4000 + passes.drawing(32, 6, 4, False)
    few = of(
        "evaluation.num_prompts=4",
        "evaluation.num_samples=4",
        "evaluation.final_num_prompts=8",
        "sampler.batch_size=32",
    )
    assert few["start completions"] == 4000 + passes.drawing(8, 6, 4, False)
    assert "pools" not in of()


def test_an_average_maps_the_files_of_all_members():
    found = of("reward=warm", "reward.num_members=5")
    assert found["their accuracies"] >= (1 + 5) * 4 * 608
    assert of("reward=gold").keys() == {
        "SFT policies",
        "reference set, pairs",
        "start completions",
    }  # the lab's judge is a program
