"""The engine on a random policy over 16 tokens and a reward that counts token 5: everything real, in seconds."""

import json

import pytest
import torch
from bandit import as_it_is
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import LlamaForCausalLM, TrainingArguments

from rlx.artefact import training_state
from rlx.core.error import UserError
from rlx.core.world import Prompt
from rlx.engine.experience import RolloutModels
from rlx.engine.export import export_policy
from rlx.engine.prompts import EncodedPrompts, indices_of_step
from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.precision import cast
from rlx.optimizer.ppo import PPO
from rlx.regularizer.chi2 import Chi2
from rlx.regularizer.kl import KL
from rlx.sampler.transformers import Transformers

REGULARIZERS = {
    "kl": KL(beta=0.01, target=None, horizon=10000),
    "chi2": Chi2(beta=0.001, root=True, max_log_ratio=10, floor=1e-4, target=None, horizon=10000),
}


class CountsFives:
    """The share of a completion's tokens that are 5."""

    raw_std = 1.0

    def __init__(self, broken: bool = False):
        self.broken = broken

    def member_scores(self, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT):
        share = ((ids_BT == 5) & mask_BT).sum(-1) / mask_BT.sum(-1)
        return share[None] / 0 if self.broken else share[None]

    def aggregate(self, member_scores_MB):
        return member_scores_MB.mean(0)


def trainer(
    model,
    folder,
    rows,
    steps=4,
    regularizer="kl",
    interval=2,
    critic="shared",
    micro=1,
    broken=False,
    lr=5e-3,
    lora=None,
    bf16=False,
):
    ppo = PPO(
        num_samples=2,
        num_epochs=2,
        num_minibatches=2,
        gamma=1.0,
        lam=0.95,
        clip=0.2,
        value_clip=0.2,
        value_coefficient=0.1,
        entropy_coefficient=0.0,
        critic=critic,
        whiten_rewards=False,
    )
    torch.manual_seed(0)
    reference = with_critic(type(model)(model.config), "none")
    reference.load_state_dict(model.state_dict())
    if bf16:
        cast(reference, torch.bfloat16)
    prompts = EncodedPrompts(
        [Prompt(str(i), str(i)) for i in range(20)], [[2 + i % 10] * (1 + i % 3) for i in range(20)], 0, 0
    )
    args = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=steps,
        learning_rate=lr,
        per_device_train_batch_size=1,
        use_cpu=True,
        bf16=bf16,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        ignore_data_skip=True,
        gradient_accumulation_steps=micro,
        max_grad_norm=1.0,
        lr_scheduler_type="linear",
    )
    actors = RolloutModels(
        reference, as_it_is(CountsFives(broken)), Transformers(8, 1.0, 64), 64, tokenizer=None, preference_model=None
    )
    plan = TrainingPlan(num_steps=steps, num_prompts=8, num_micro=micro, checkpoint_interval=interval, seed=0)

    def keep(step, row):
        rows.append((step, {k: v for k, v in row.items() if not k.startswith("time/")}))

    return OnPolicyTrainer(
        with_adapters(with_critic(model, critic), lora),
        args,
        ppo,
        REGULARIZERS[regularizer],
        actors,
        prompts,
        plan,
        keep,
    )


@pytest.mark.parametrize("regularizer", ["kl", "chi2"])
def test_ppo_learns_to_write_what_is_rewarded(tiny_llama, tmp_path, regularizer):
    rows = []
    trainer(tiny_llama, tmp_path, rows, steps=25, regularizer=regularizer, interval=100).train()
    assert rows[0][1]["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert rows[0][1]["objective/scores"] < 0.15 and rows[-1][1]["objective/scores"] > 0.35
    assert [step for step, _ in rows] == list(range(1, 26))


def test_the_same_seed_gives_the_same_numbers_bit_for_bit(tiny_llama, tmp_path):
    start = {k: v.clone() for k, v in tiny_llama.state_dict().items()}
    first, second = [], []
    trainer(tiny_llama, tmp_path / "a", first).train()
    again = type(tiny_llama).__mro__[2](tiny_llama.config)
    again.load_state_dict(start)
    torch.manual_seed(123)
    trainer(again, tmp_path / "b", second).train()
    assert first == second


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_ends_with_the_numbers_of_an_undisturbed_one(tiny_llama, tmp_path, bf16):
    start = {k: v.clone() for k, v in tiny_llama.state_dict().items()}
    whole, resumed = [], []
    trainer(tiny_llama, tmp_path / "whole", whole, steps=6, bf16=bf16).train()
    found = training_state.latest(tmp_path / "whole")
    assert (found.step, found.more, found.layout) == (4, {"beta": 0.01}, "whole")
    again = type(tiny_llama).__mro__[2](tiny_llama.config)
    again.load_state_dict(start)
    continued = trainer(again, tmp_path / "whole", resumed, steps=6, bf16=bf16)
    continued.train(resume_from_checkpoint=str(found.path))
    assert resumed == whole[4:]
    for name, x in tiny_llama.state_dict().items():
        assert torch.equal(x, again.state_dict()[name]), name


def test_micro_batches_change_no_number_beyond_rounding(tiny_llama, tmp_path):
    start = {k: v.clone() for k, v in tiny_llama.state_dict().items()}
    one, two = [], []
    trainer(tiny_llama, tmp_path / "a", one).train()
    again = type(tiny_llama).__mro__[2](tiny_llama.config)
    again.load_state_dict(start)
    trainer(again, tmp_path / "b", two, micro=2).train()
    for (_, a), (_, b) in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4)


def test_a_score_that_is_not_a_number_ends_the_run_with_the_prompt_named(tiny_llama, tmp_path):
    with pytest.raises(UserError, match=r"reward: member 0 gave (nan|inf) for prompt '\d+'"):
        trainer(tiny_llama, tmp_path, [], broken=True).train()


def test_a_loss_that_is_not_a_number_ends_the_run_with_the_learning_rate_named(tiny_llama, tmp_path):
    with pytest.raises(UserError, match=r"the loss became .* at step \d; lower torch_optimizer.learning_rate"):
        trainer(tiny_llama, tmp_path, [], lr=1e18).train()


@pytest.mark.parametrize("critic", ["shared", "half", "separate"])
def test_adapters_learn_while_the_weights_stay_and_are_merged_into_the_exported_model(tiny_llama, tmp_path, critic):
    start = {k: v.clone() for k, v in tiny_llama.state_dict().items()}
    lora = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    rows = []
    learner = trainer(
        tiny_llama, tmp_path / "checkpoints", rows, steps=30, interval=5, critic=critic, lr=2e-2, lora=lora
    )
    learner.train()
    assert rows[-1][1]["objective/scores"] > rows[0][1]["objective/scores"] + 0.05
    assert training_state.latest(tmp_path / "checkpoints").step == 25
    kept = {k: v for k, v in learner.plain_policy().state_dict().items() if k.endswith("q_proj.base_layer.weight")}
    assert kept and all(
        torch.equal(v, start[k.removeprefix("base_model.model.").replace("base_layer.", "")])
        for k, v in kept.items()
        if "critic" not in k
    )
    ids = torch.tensor([[3, 4, 5]])
    before = learner.plain_policy().eval()(input_ids=ids).logits
    export_policy(learner.plain_policy(), _NoTokenizer(), tmp_path / "model", "card", torch.float32)
    plain, info = LlamaForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(plain(ids).logits, before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lora", [None, 8])
def test_weights_of_an_earlier_step_are_taken_again_without_the_critic_and_what_is_not_trained(
    tiny_llama, tmp_path, lora
):
    adapters = lora and LoraConfig(r=lora, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    learner = trainer(tiny_llama, tmp_path, [], steps=3, interval=9, critic="separate", lr=1e-2, lora=adapters)
    ids, seen = torch.tensor([[3, 4, 5]]), []

    def remember(step, row):
        with learner.policy() as policy, torch.no_grad():
            seen.append((policy.eval()(input_ids=ids).logits.clone(), learner.learnt_weights()))

    learner.after_step = remember
    learner.train()
    logits, weights = seen[0]
    assert weights and not any("critic" in name or "value_head" in name for name in weights)
    assert all("lora_" in name for name in weights) == bool(lora)
    assert not torch.equal(seen[-1][0], logits)
    learner.take(weights)
    with learner.policy() as policy, torch.no_grad():
        assert torch.equal(policy.eval()(input_ids=ids).logits, logits)


def test_dropout_of_the_adapters_does_not_move_the_log_probabilities_that_are_learnt_from(tiny_llama, tmp_path):
    """At a rate of 0 the policy that learns is the one that drew: every ratio is 1, whatever dropout it was fine-tuned with."""
    lora = LoraConfig(r=8, lora_alpha=512, lora_dropout=0.5, target_modules="all-linear", task_type="CAUSAL_LM")
    rows = []
    learner = trainer(tiny_llama, tmp_path, rows, steps=1, interval=10, lr=0.0, lora=lora)
    for name, x in learner.plain_policy().named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(x)
    learner.train()
    assert rows[0][1]["val/ratio"] == pytest.approx(1, abs=1e-5)
    assert rows[0][1]["policy/approxkl_avg"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("critic", ["shared", "half", "separate"])
def test_in_bfloat16_steps_that_it_would_round_to_nothing_add_up_in_the_masters(tiny_llama, tmp_path, critic):
    """16 updates of 1e-6; numbers of bfloat16 near .02, where these weights lie, are 2^-13 = .0001 apart."""
    cast(cast(tiny_llama, torch.bfloat16), torch.float32)  # as it comes from disk
    start = {k: v.clone() for k, v in tiny_llama.state_dict().items()}
    rows = []
    learner = trainer(tiny_llama, tmp_path, rows, steps=4, critic=critic, lr=1e-6, bf16=True)
    learner.train()
    assert all(torch.tensor(list(row.values())).isfinite().all() for _, row in rows)
    state = training_state.latest(tmp_path).path / "model.safetensors"
    for found in (learner.plain_policy().state_dict(), load_file(state)):
        moved = torch.cat([(found[k] != v).flatten() for k, v in start.items() if "layers" in k])
        assert {x.dtype for x in found.values()} == {torch.float32} and moved.float().mean() > 0.9
    export_policy(learner.plain_policy(), _NoTokenizer(), tmp_path / "model", "card", torch.bfloat16)
    exported = load_file(tmp_path / "model" / "model.safetensors")
    assert {x.dtype for x in exported.values()} == {torch.bfloat16} and exported.keys() == start.keys()
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("rank", [0, 8])
def test_in_bfloat16_the_policy_that_learns_is_the_one_that_drew_and_its_start_is_the_reference(
    tiny_llama, tmp_path, rank
):
    """At a rate of 0. Ratios are 1 but for products of other shapes, from the rollout to a minibatch. A reference of its own
    rounds its residual stream, which the policy's masters do not, and what is left of that is noise (measured: 1e-5 nats a
    completion); with adapters, both are one model."""
    lora = LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM") if rank else None
    cast(tiny_llama, torch.bfloat16)
    rows = []
    start = tiny_llama if rank else cast(tiny_llama, torch.float32)
    learner = trainer(start, tmp_path, rows, steps=1, interval=10, lr=0.0, lora=lora, bf16=True)
    learner.train()
    row = rows[0][1]
    assert row["val/ratio"] == pytest.approx(1, abs=1e-4) and row["policy/approxkl_avg"] < 1e-6
    assert row["objective/kl"] == pytest.approx(0, abs=0 if rank else 1e-3)


class _NoTokenizer:
    def save_pretrained(self, path):
        """The random policy has none."""


def test_prompts_of_a_pass_come_once_each_and_every_pass_in_another_order():
    seen = [i for step in range(5) for i in indices_of_step(step, 8, 20, seed=3)]
    assert sorted(seen[:20]) == list(range(20)) == sorted(seen[20:40])
    assert seen[:20] != seen[20:40]
    assert seen != [i for step in range(5) for i in indices_of_step(step, 8, 20, seed=4)]
