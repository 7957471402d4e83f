"""Memory per process, with numbers worked out by hand for a model of 1,000 parameters (8 x 128 = 1024 would divide by 8)."""

import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.estimate.memory import Held, activations, disk_bytes, gpu_with_vllm, held, logits, most
from rlx.estimate.size import Architecture, ModelSize

SHAPE = Architecture(parameters=1000, layers=3, hidden=10, vocabulary=50, sides=60, cached_per_token=24)
BF16, FP32 = ModelSize(1000, 2, "given"), ModelSize(1000, 4, "given")


def config(*words: str) -> dict:
    (cell,) = compose(["model=pretrained", "model.path=some/model", "model.dtype=bfloat16", *words])
    return checked(cell.config)


def sizes(*words: str, size: ModelSize = BF16) -> dict[str, int]:
    return {row.what: row.bytes for row in held(config(*words), size)}


PPO8 = ["compute.num_processes=8", "optimizer.num_minibatches=1"]


def test_one_process_in_fp32_holds_sixteen_bytes_a_parameter_and_its_reference_and_reward_model():
    assert sizes("compute=cpu", "model.dtype=float32", size=FP32) == {
        "policy's weights": 4000, "gradients": 4000, "AdamW's moments": 8000,
        "reference and start": 4000, "reward model": 4000,
    }  # fmt: skip


def test_ddp_trains_fp32_masters_with_bf16_copies_and_spreads_nothing():
    found = sizes("compute=ddp", *PPO8)
    assert found["policy's weights"] == 4000 and found["AdamW's moments"] == 8000 and found["gradients"] == 4000
    assert found["bf16 copies of the weights"] == 2000 and found["reference and start"] == 2000
    assert sizes("compute=cpu") == sizes("compute=ddp")  # a bfloat16 model is one on the CPU too
    assert "bf16 copies of the weights" not in sizes("compute=ddp", "model.dtype=float32", size=FP32)


@pytest.mark.parametrize(
    ("choice", "weights", "gradients"),
    [("zero1", 2000, 2000), ("zero2", 2000, 250), ("zero3", 250, 250)],  # 2 bytes; / 8 where spread
)
def test_zero_spreads_masters_and_moments_then_gradients_then_weights(choice, weights, gradients):
    found = sizes(f"compute={choice}", *PPO8)
    assert found["policy's weights"] == weights and found["gradients"] == gradients
    assert found["their fp32 masters"] == 500 and found["AdamW's moments"] == 1000  # 4 and 8 bytes x 1000 / 8
    assert found["gradients in fp32, for the step"] == 500
    assert found["reference and start"] == 2000  # models that learn nothing are whole in every process
    assert found.get("policy gathered whole") == (2000 if choice == "zero3" else None)


def test_fsdp_spreads_the_fp32_masters_that_it_trains():
    found = sizes("compute=fsdp", *PPO8)
    assert [found[x] for x in ("policy's weights", "gradients", "AdamW's moments")] == [500, 500, 1000]
    assert found["a whole copy of the policy"] == 2000 and "their fp32 masters" not in found


def test_parts_are_rounded_up():
    three = ["compute.num_processes=3", "num_prompts=66", "optimizer.num_minibatches=1", "sft.batch_size=33"]
    assert sizes("compute=zero3", *three, "reward_model.batch_size=33")["policy's weights"] == 667  # 2000 / 3


def test_adapters_train_a_share_and_make_the_start_and_the_reference_superfluous():
    size = ModelSize(1000, 2, "given", SHAPE)
    found = sizes("compute=ddp", "model.lora_rank=2", size=size)
    # 2 x 60 = 120 parameters, in fp32 beside a bfloat16 model
    assert found["policy's frozen weights"] == 2000 and found["policy's adapters"] == 480
    assert found["gradients"] == 480 and found["AdamW's moments"] == 960
    assert found["reference and start"] == 0 and found["reward model"] == 2000
    soup = sizes("compute=ddp", "model.lora_rank=2", "reference=soup", size=size)
    assert soup["reference"] == 2000 and soup["start"] == 0
    spread = sizes("compute=zero3", "model.lora_rank=2", *PPO8, size=size)
    assert spread["policy's frozen weights"] == 250 and spread["policy's adapters"] == 30
    assert spread["policy gathered whole"] == 2240  # 1000 + 120 parameters in bfloat16


def test_full_fine_tuning_needs_a_reference_and_a_start_only_where_they_differ():
    assert sizes("compute=ddp")["reference and start"] == 2000
    soup = sizes("compute=ddp", "reference=soup")
    assert soup["reference"] == 2000 and soup["start"] == 2000


def test_a_separate_critic_doubles_what_learns():
    found = sizes("compute=ddp", "optimizer.critic=separate")
    assert found["policy's weights"] == 8000 and found["AdamW's moments"] == 16000


def test_an_ensemble_holds_its_members_and_a_warm_one_model_and_a_visitor():
    assert sizes("reward=ensemble_mean", "reward.num_members=5")["reward models"] == 10_000
    warm = sizes("reward=warm", "reward.num_members=5")
    assert warm["reward model"] == 2000 and warm["a member of the mean"] == 2000
    assert not any("reward" in name for name in sizes("reward=gold"))


def test_what_is_offloaded_is_counted_apart():
    rows = held(config("compute=zero3", "compute.offload=optimizer", *PPO8), BF16)
    # weights / 8, reference, reward model, and the larger of: the whole policy to draw; all of it in passing to learn
    assert most(rows) == 250 + 2000 + 2000 + 2000
    assert most(rows, offloaded=True) == 500 + 1000 + 250 + 500  # masters, moments, gradients twice
    rows = held(config("compute=zero3", "compute.offload=all", *PPO8), BF16)
    assert most(rows, offloaded=True) == 250 + 500 + 1000 + 250 + 500


def test_learning_and_drawing_do_not_stand_together():
    rows = held(config("compute=ddp"), BF16)
    assert most(rows) == 4000 + 8000 + 2000 + 2000 + (4000 + 2000)  # always; gradients and copies


def test_activations_and_caches_are_told_where_the_architecture_is_known():
    words = ["compute=ddp", "num_prompts=8", "optimizer.num_minibatches=2", "world.max_prompt_tokens=6",
             "world.max_completion_tokens=4", "sampler.batch_size=3"]  # fmt: skip
    found = sizes(*words, size=ModelSize(1000, 2, "given", SHAPE))
    # 4 completions a minibatch x 10 tokens x 10 units x 2 bytes x 17 x 3 layers
    assert found["activations, roughly"] == 40 * 10 * 2 * 17 * 3
    assert found["logits, roughly"] == 4 * 4 * 50 * 4 * 4  # 16 completion tokens x 50 words, in fp32, four times
    assert found["keys and values"] == 3 * 10 * 24 * 2  # 3 rows x 10 tokens x 24 numbers x 2 bytes
    assert found["next words"] == 3 * 50 * 36
    assert activations(SHAPE, 40, 2, checkpointing=True) == 40 * 10 * 2 * (3 + 17)
    micro = sizes(*words, "compute.micro_batch_size=1", size=ModelSize(1000, 2, "given", SHAPE))
    assert micro["activations, roughly"] == 10 * 10 * 2 * 17 * 3
    kept = sizes(*words, "optimizer=superhf", "optimizer.num_kept=2", size=ModelSize(1000, 2, "given", SHAPE))
    assert kept["activations, roughly"] == 2 * found["activations, roughly"]


def test_logits_stop_growing_at_a_chunk():
    wide = Architecture(1000, 3, 10, 128_000, 60, 24)
    assert logits(wide, 10**6) == logits(wide, 10**5) == 2**25 * 16


def test_disk_holds_artefacts_checkpoints_and_the_model():
    # one policy and one reward model of 2000, and two checkpoints of one in training; the exported model, and 1 + 2
    # checkpoints of masters and moments
    assert disk_bytes(config("compute=ddp"), BF16) == (4000 + 2 * 12_000, 2000 + 3 * 12_000)
    # DeepSpeed: weights twice (2 bytes), masters, moments
    assert disk_bytes(config("compute=zero2"), BF16) == (4000 + 2 * 16_000, 2000 + 3 * 16_000)
    size = ModelSize(1000, 2, "given", SHAPE)  # 120 parameters learn
    assert disk_bytes(config("compute=ddp", "model.lora_rank=2"), size) == (4000 + 2 * 1440, 2000 + 3 * 1440)
    assert disk_bytes(config("reward=gold"), BF16)[0] == 2000 + 2 * 12_000
    seven = config("reward=warm", "reference=soup", "reference.num_policies=3")
    assert disk_bytes(seven, BF16)[0] == 3 * 2000 + 4 * 2000 + 2 * 12_000
    assert disk_bytes(config("optimizer=bon"), BF16) == (4000 + 2 * 12_000, 2000)


def test_a_gpu_shared_with_vllm_is_as_large_as_what_its_share_leaves_must_hold():
    vllm = ["sampler=vllm", "compute=ddp", "sampler.gpu_memory_utilization=0.2"]
    rows = [Held("a", 60), Held("b", 20, "learning"), Held("c", 4, "drawing"), Held("d", 1000, offloaded=True)]
    size = ModelSize(5, 2, "given", None)
    assert gpu_with_vllm(config(*vllm), size, rows) == 100  # .8 of it hold 60 + 20
    assert gpu_with_vllm(config(*vllm, "sampler.sleep=true"), size, rows) == 80  # all of it hold 60 + 20, .8 hold 64
    assert gpu_with_vllm(config(*vllm), ModelSize(20, 2, "given", None), rows) == 200  # .2 of it hold 40 of weights
    assert gpu_with_vllm(config("sampler=vllm", "sampler.mode=server", "compute=ddp"), size, rows) is None
    assert gpu_with_vllm(config("compute=ddp"), size, rows) is None
