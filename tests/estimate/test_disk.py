"""Bytes on disk, with numbers worked out by hand for a model of 1,000 parameters."""

from estimate.test_memory import BF16, SIDES, config, of_small

from rlx.estimate.disk import disk_bytes


def test_disk_holds_artefacts_checkpoints_and_the_model():
    # one policy and one reward model of 2000, and two checkpoints of one in training; the exported model, and 1 + 2
    # checkpoints of masters and moments
    assert disk_bytes(config("compute=ddp"), BF16) == (4000 + 2 * 12_000, 2000 + 3 * 12_000)
    # DeepSpeed: weights twice (2 bytes), masters, moments
    assert disk_bytes(config("compute=zero2"), BF16) == (4000 + 2 * 16_000, 2000 + 3 * 16_000)
    assert disk_bytes(config("reward=gold"), BF16)[0] == 2000 + 2 * 12_000
    seven = config("reward=warm", "reference=soup", "reference.num_policies=3")
    assert disk_bytes(seven, BF16)[0] == 3 * 2000 + 4 * 2000 + 2 * 12_000
    assert disk_bytes(config("optimizer=bon"), BF16) == (4000 + 2 * 12_000, 2000)


def test_a_reward_model_with_adapters_is_its_adapter_on_disk_and_a_policy_is_whole():
    adapters = 2 * SIDES  # parameters that learn, 12 bytes each in a checkpoint
    found = disk_bytes(config("compute=ddp", "model.lora_rank=2"), of_small(2))
    assert found == (2000 + 4 * adapters + 2 * 12 * adapters, 2000 + 3 * 12 * adapters)
