"""Memory per process, with numbers worked out by hand for a model of 1,000 parameters (8 x 128 = 1024 would divide by 8)."""

import pytest

from rlx.command.check import checked
from rlx.command.compose import compose
from rlx.estimate.held import LEARNING, Held, most
from rlx.estimate.memory import CUDA, PROGRAM, drawn_at_once, gpu_with_vllm, held, policy
from rlx.estimate.placed import told
from rlx.estimate.size import Architecture, ModelSize, published

BF16, FP32 = ModelSize(1000, 2, "given"), ModelSize(1000, 4, "given")
# 2 layers of width 8: attention 4 x 8 x 8, feed-forward 3 x 8 x 16, and 50 words
SMALL = published(
    dict(model_type="llama", vocab_size=50, hidden_size=8, intermediate_size=16, num_hidden_layers=2,
         num_attention_heads=2, tie_word_embeddings=False)
)  # fmt: skip
SIDES = 2 * (4 * (8 + 8) + 3 * (8 + 16))  # inputs and outputs of the linear layers


def config(*words: str) -> dict:
    """Of PPO with a head on the policy's trunk, where `words` do not say otherwise: one model learns."""
    critic = [] if any(word.startswith("optimizer=") for word in words) else ["optimizer.critic=shared"]
    (cell,) = compose(["model=pretrained", "model.path=some/model", "model.dtype=bfloat16", *critic, *words])
    return checked(cell.config)


def sizes(*words: str, size: ModelSize = BF16) -> dict[str, int]:
    """The lines by name, but for what a process takes before it has a model."""
    first, *rest = held(config(*words), size)
    assert first.bytes in (PROGRAM, CUDA)
    return {row.what: row.bytes for row in rest}


@pytest.fixture(autouse=True)
def untraced(request, monkeypatch):
    """Most tests here are of what follows from a formula."""
    if "traced" not in request.node.name:
        monkeypatch.setattr("rlx.estimate.passes.Passes._traced", lambda *_: 1)


def of_small(bytes_per_parameter: int, parameters: int = 1000, shape: Architecture = SMALL) -> ModelSize:
    return ModelSize(parameters, bytes_per_parameter, "given", shape)


PPO8 = ["compute.num_processes=8", "optimizer.num_minibatches=1"]


def test_one_process_in_fp32_holds_sixteen_bytes_a_parameter_and_its_reference_and_reward_model():
    assert sizes("compute=cpu", "model.dtype=float32", size=FP32) == {
        "policy's weights": 4000, "gradients": 4000, "AdamW's moments": 8000,
        "reference and start": 4000, "reward models": 4000,
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
    found = sizes("compute=ddp", "model.lora_rank=2", size=of_small(2))
    adapters = 2 * SIDES  # parameters, in fp32 beside a bfloat16 model
    assert SMALL.sides == SIDES and adapters == 544
    assert found["policy's frozen weights"] == 2000 and found["policy's adapters"] == 4 * 544
    assert found["gradients"] == 4 * 544 and found["AdamW's moments"] == 8 * 544
    assert found["reference and start"] == 0
    soup = sizes("compute=ddp", "model.lora_rank=2", "reference=soup", size=of_small(2))
    assert soup["reference"] == 2000 and soup["start"] == 0
    spread = sizes("compute=zero3", "model.lora_rank=2", *PPO8, size=of_small(2))
    assert spread["policy's frozen weights"] == 250 and spread["policy's adapters"] == 136  # 2 x 544 / 8
    assert spread["policy gathered whole"] == 2 * 1544


def test_reward_models_and_gold_are_adapters_and_heads_on_one_base_and_warm_has_a_mean_of_all_ranks():
    world = ["world=preferences", "world.path=pairs.jsonl", "model.lora_rank=2"]
    each = 4 * (2 * SIDES + 8)  # bytes of an adapter and its head, in fp32
    base = 2 * (1000 - 50 * 8 + 8)  # the trunk without the output head, and a score head of one number a unit
    found = sizes(*world, "reward=ensemble_mean", "reward.num_members=5", size=of_small(2))
    assert found["base of the reward models"] == 0 and found["their adapters"] == 6 * each  # gold's too
    for word in ("compute=zero3", "optimizer=bon"):  # where no process has a policy's weights whole to lend
        assert sizes(*world, word, "reward=ensemble_mean", size=of_small(2))["base of the reward models"] == base
    assert sizes(*world, "model.reward_path=some/trunk-1m", size=of_small(2))["base of the reward models"] != 0
    warm = sizes(*world, "reward=warm", "reward.num_members=5", size=of_small(2))
    assert warm["their adapters"] == (5 + 5 + 1) * each
    lab = sizes("model.lora_rank=2", "reward=ensemble_mean", "reward.num_members=5", size=of_small(2))
    assert lab["their adapters"] == 5 * each  # its judge is a program
    given = sizes(*world, "world.gold=some/judge-1m", "reward=gold", size=of_small(2))
    assert "base of the reward models" not in given and given["gold reward model"] == 2_000_000


@pytest.mark.parametrize(("trunks", "bases"), [("last", 1), ("runs", 2), ("snapshots", 2)])
def test_each_trunk_that_members_start_from_is_a_base_and_the_policy_lends_the_last_weights(trunks, bases):
    words = ["world=preferences", "world.path=pairs.jsonl", "model.lora_rank=2", "sft.snapshots=[0.5,0.8]",
             "reward=ensemble_mean", f"reward_model.trunks={trunks}"]  # fmt: skip
    each = 2 * 608
    assert sizes(*words, size=of_small(2))["base of the reward models"] == (bases - 1) * each
    assert sizes(*words, "optimizer=bon", size=of_small(2))["base of the reward models"] == bases * each
    alone = sizes(*words, "reward_model.num_trunks=1", size=of_small(2))
    assert alone["base of the reward models"] == 0


def test_full_fine_tuning_needs_a_reference_and_a_start_only_where_they_differ():
    assert sizes("compute=ddp")["reference and start"] == 2000
    soup = sizes("compute=ddp", "reference=soup")
    assert soup["reference"] == 2000 and soup["start"] == 2000


def test_a_separate_critic_doubles_what_learns():
    found = sizes("compute=ddp", "optimizer.critic=separate")
    assert found["policy's weights"] == 8000 and found["AdamW's moments"] == 16000


def test_half_a_critic_learns_an_embedding_and_half_of_the_rest():
    half = ["compute=ddp", "optimizer.critic=half"]
    assert sizes(*half, size=of_small(2))["policy's weights"] == 4 * (1000 + 50 * 8 + (1000 - 50 * 8) // 2)
    assert sizes(*half)["policy's weights"] == 8000  # of a model that nobody knows, as much as a whole one


def test_whole_members_are_placed_over_the_processes_unless_they_are_told_not_to():
    ensemble = ["reward=ensemble_mean", "reward.num_members=5", "compute=ddp"]
    assert sizes(*ensemble, *PPO8)["reward models"] == 2000  # one of them in a process
    two = ["compute.num_processes=2", "optimizer.num_minibatches=1"]
    assert sizes(*ensemble, *two)["reward models"] == 3 * 2000
    assert sizes(*ensemble, *two, "compute.place_members=false")["reward models"] == 5 * 2000
    assert told(config(*ensemble, *two)) == (
        "compute.place_members=auto: at most 3 of 5 reward models in a process, as they are whole models and there are 2 "
        "processes, though scoring takes 1.2 times as long"
    )
    assert told(config(*ensemble, *two, "model.lora_rank=2")) == (
        "compute.place_members=auto: all in every process, as they are adapters, and each process has their base"
    )
    warm = told(config("reward=warm", "compute=ddp", *two))
    assert warm is not None and warm.endswith("all in every process, as their weights are averaged")
    assert told(config("reward=single", "compute=ddp", *two)) is None
    assert told(config(*ensemble[:2], "compute=cpu")) is None


def test_an_ensemble_holds_its_members_and_a_warm_one_model_and_a_visitor():
    assert sizes("reward=ensemble_mean", "reward.num_members=5")["reward models"] == 10_000
    warm = sizes("compute=ddp", "reward=warm", "reward.num_members=5")
    assert warm["reward model"] == 2000 and warm["a member of the mean"] == 2000
    assert sizes("compute=cpu", "reward=warm", "reward.num_members=5")["its members"] == 10_000  # on a CPU they stay
    assert not any("reward models" in name for name in sizes("reward=gold"))


def test_what_is_offloaded_is_counted_apart():
    rows = held(config("compute=zero3", "compute.offload=optimizer", *PPO8), BF16)
    # weights / 8, reference, reward model, and the larger of: the whole policy to draw; all of it in passing to learn
    assert most(rows) == CUDA + 250 + 2000 + 2000 + 2000
    assert most(rows, offloaded=True) == 500 + 1000 + 250 + 500  # masters, moments, gradients twice
    rows = held(config("compute=zero3", "compute.offload=all", *PPO8), BF16)
    assert most(rows, offloaded=True) == 250 + 500 + 1000 + 250 + 500


def test_gradients_stand_while_weights_are_updated_and_while_others_are_learnt_where_they_add_up():
    rows = held(config("compute=ddp"), BF16)
    assert most(rows) == CUDA + 4000 + 8000 + 2000 + 2000 + 4000  # always, and the gradients
    when = {row.what: row.when for row in rows}
    assert when["gradients"] == ("updating",) and "updating" not in when["bf16 copies of the weights"]
    parts = held(config("compute=ddp", "compute.micro_batch_size=1"), BF16)
    assert {row.what: row.when for row in parts}["gradients"] == LEARNING
    assert most(parts) == most(rows) + 2000


def test_ddp_of_several_processes_keeps_the_gradients_once_more_in_its_buckets():
    assert sizes("compute=ddp", *PPO8)["DDP's buckets"] == 4000
    assert "DDP's buckets" not in sizes("compute=ddp") and "DDP's buckets" not in sizes("compute=zero2", *PPO8)


def test_the_frozen_models_beside_masters_have_embeddings_in_float32():
    found = sizes("compute=ddp", size=of_small(2))
    assert found["reference and start"] == 2000 + 2 * 50 * 8  # 50 words of width 8, two bytes more
    assert sizes("compute=zero2", size=of_small(2))["reference and start"] == 2000


def test_completions_at_once_are_those_of_a_rollout_an_evaluation_or_the_start_up_to_the_batch():
    def at_once(*words: str) -> int:
        return drawn_at_once(config("num_prompts=64", "evaluation.final_num_prompts=256", *words))

    assert at_once("sampler.batch_size=1000") == 256 and at_once("sampler.batch_size=100") == 100
    assert at_once("sampler.batch_size=1000", "evaluation.num_prompts=300") == 300
    assert at_once("sampler.batch_size=2000", "optimizer.num_samples=16") == 64 * 16
    assert at_once("sampler.batch_size=1000", "compute=ddp", "compute.num_processes=8") == 32


def test_phases_are_traced_where_the_architecture_is_known():
    words = ["compute=cpu", "model.dtype=float32", "num_prompts=8", "optimizer.num_minibatches=2", "sampler.batch_size=3",
             "world.max_prompt_tokens=6", "world.max_completion_tokens=4"]  # fmt: skip
    size = of_small(4)
    found = sizes(*words, size=size)
    own = policy(config(*words), size)
    passes = own.passes()
    assert passes is not None and own.rows()
    assert found["activations"] == passes.learning(4, 6, 4, "shared", False, False)  # 8 / 2 prompts
    assert found["to draw with"] == passes.drawing(3, 6, 4, True)
    assert found["to score with"] == passes.scoring(64, 6, 4, "shared", True)
    micro = sizes(*words, "compute.micro_batch_size=1", size=size)
    assert micro["activations"] == passes.learning(1, 6, 4, "shared", False, False) < found["activations"]
    kept = sizes(*words, "optimizer=superhf", "optimizer.num_kept=2", size=size)
    assert kept["activations"] == passes.learning(8, 6, 4, "none", False, True)


def test_a_gpu_shared_with_vllm_is_as_large_as_what_its_share_leaves_must_hold():
    vllm = ["sampler=vllm", "compute=ddp", "sampler.gpu_memory_utilization=0.2"]
    rows = [Held("a", 60), Held("b", 20, LEARNING), Held("c", 4, ("drawing",)), Held("d", 1000, offloaded=True)]
    size = ModelSize(5, 2, "given", None)
    assert gpu_with_vllm(config(*vllm), size, rows) == 100  # .8 of it hold 60 + 20
    assert gpu_with_vllm(config(*vllm, "sampler.sleep=true"), size, rows) == 80  # all of it hold 60 + 20, .8 hold 64
    assert gpu_with_vllm(config(*vllm), ModelSize(20, 2, "given", None), rows) == 200  # .2 of it hold 40 of weights
    assert gpu_with_vllm(config("sampler=vllm", "sampler.mode=server", "compute=ddp"), size, rows) is None
    assert gpu_with_vllm(config("compute=ddp"), size, rows) is None
