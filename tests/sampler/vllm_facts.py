"""What sampler=vllm does, as facts in JSON for test_vllm.py: run by the Python of an environment that has vLLM.

On a CPU, one process. vLLM's CPU build packs weights anew as it reads them, and then cannot read others; told to leave
them as they are, it can. Nothing else is changed.
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, TrainingArguments

from rlx.core.settings import ProxySettings
from rlx.core.world import Prompt
from rlx.engine.experience import RolloutModels
from rlx.engine.forward import logprobs_of
from rlx.engine.prompts import EncodedPrompts
from rlx.engine.proxy import Proxy
from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
from rlx.model.actor_critic import with_adapters, with_critic
from rlx.model.bare import without_adapters
from rlx.optimizer.ppo import PPO
from rlx.regularizer.kl import KL
from rlx.sampler.transformers import Transformers
from rlx.sampler.vllm import VLLM

NEW, ROWS, LONGEST = 12, 48, 24
PROMPTS = torch.randint(2, 64, (ROWS, LONGEST), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(LONGEST) >= torch.arange(ROWS)[:, None] % 20  # 5 to 24 tokens, padded on the left
SEEDS = list(range(100, 100 + ROWS))
SETTINGS = dict(
    mode="colocate", max_new_tokens=NEW, max_prompt_tokens=LONGEST, temperature=0.9, importance_clip=2.0, seed_rows=True,
    gpu_memory_utilization=0.1, tensor_parallel_size=1, sleep=False, enforce_eager=True, host="localhost", port=8000,
    weights_port=51216, timeout=60.0,
)  # fmt: skip


def leave_weights_as_they_are() -> None:
    import vllm.model_executor.layers.utils as layers

    def plain(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = lambda x, weight, bias: torch.nn.functional.linear(x, weight, bias)

    layers.dispatch_cpu_unquantized_gemm = plain


def random_policy(folder: Path) -> PreTrainedModel:
    """Far from uniform, so that greedy choices are clear; 0 pads, 1 ends."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=0, eos_token_id=1, bos_token_id=None, max_position_embeddings=64,
        initializer_range=0.1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return with_critic(LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), "none")


def gap(policy: torch.nn.Module, drawn) -> float:
    """The largest difference, over drawn tokens, between what vLLM and the policy say of them, in nats."""
    mine = logprobs_of(policy, PROMPTS, MASK, drawn.ids_BT, drawn.mask_BT, SETTINGS["temperature"], ROWS).logps_BT
    return (mine - drawn.logps_BT)[drawn.mask_BT].abs().max().item()


def moved(policy, seed: int) -> None:
    """As by an update: every weight that learns, noticeably."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for x in policy.parameters():
            if x.requires_grad:
                x += 0.1 * torch.randn(x.shape, generator=generator)


def facts_of_draws(policy, sampler: VLLM) -> dict:
    greedy = [
        kind.draw(policy, PROMPTS, MASK, SEEDS)
        for kind in (VLLM(**SETTINGS | {"temperature": 0.0}), Transformers(NEW, 1e-4, ROWS))
    ]
    drawn, again = (sampler.draw(policy, PROMPTS, MASK, SEEDS) for _ in range(2))
    turned = sampler.draw(policy, PROMPTS.flip(0), MASK.flip(0), SEEDS[::-1])
    other = sampler.draw(policy, PROMPTS, MASK, [seed + 1000 for seed in SEEDS])
    before = gap(policy, drawn)
    repeated = (PROMPTS[:1].repeat(2000, 1), MASK[:1].repeat(2000, 1), list(range(2000)))
    free, state = VLLM(**SETTINGS | {"seed_rows": False}), torch.get_rng_state()
    first, same = (free.draw(policy, PROMPTS, MASK, [SEEDS[0], *range(ROWS - 1)]).ids_BT for _ in range(2))
    differing = free.draw(policy, PROMPTS, MASK, [SEEDS[0] + 1, *range(ROWS - 1)]).ids_BT
    kept = torch.equal(state, torch.get_rng_state())
    unseeded = free.draw(policy, *repeated)
    many = sampler.draw(policy, *repeated)
    with torch.no_grad():
        wanted = (policy(PROMPTS[:1][:, MASK[0]]).logits[0, -1] / SETTINGS["temperature"]).softmax(-1)

    def error_of(drawn) -> float:
        return (torch.bincount(drawn.ids_BT[:, 0], minlength=64) / 2000 - wanted).abs().max().item()

    stale = copy.deepcopy(policy)
    moved(policy, 1)
    after = sampler.draw(policy, PROMPTS, MASK, SEEDS)
    return {
        "greedy tokens equal": torch.equal(greedy[0].ids_BT, greedy[1].ids_BT),
        "greedy masks equal": torch.equal(greedy[0].mask_BT, greedy[1].mask_BT),
        "some ended, some did not": 0 < int(drawn.ended_B.sum()) < ROWS,
        "last tokens that end are ends": drawn.ids_BT[drawn.mask_BT].eq(1).sum().item() == int(drawn.ended_B.sum()),
        "same seeds, same tokens": torch.equal(drawn.ids_BT, again.ids_BT),
        "same seeds in another order, same tokens": torch.equal(drawn.ids_BT, turned.ids_BT.flip(0)),
        "other seeds, other tokens": not torch.equal(drawn.ids_BT, other.ids_BT),
        "largest error of a frequency": error_of(many),
        "same first seed, same tokens": torch.equal(first, same),
        "other first seed, other tokens": not torch.equal(first, differing),
        "random state kept": kept,
        "largest error of a frequency without seeds": error_of(unseeded),
        "log-probabilities differ by": before,
        "after an update they differ by": gap(policy, after),
        "from the policy before it by": gap(stale, after),
    }  # fmt: skip


def facts_of_adapters(folder: Path, sampler: VLLM) -> dict:
    lora = LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    policy = with_adapters(with_critic(LlamaForCausalLM.from_pretrained(folder), "separate"), lora)
    moved(policy, 2)
    start = without_adapters(policy)
    learnt, bare = (sampler.draw(model, PROMPTS, MASK, SEEDS) for model in (policy, start))
    return {
        "with adapters they differ by": gap(policy, learnt),
        "without them by": gap(start, bare),
        "adapters change them by": gap(start, learnt),
    }


class CountsFives:
    raw_std = 1.0

    def member_scores(self, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT):
        return (((ids_BT == 5) & mask_BT).sum(-1) / mask_BT.sum(-1))[None]

    def aggregate(self, member_scores_MB):
        return member_scores_MB.mean(0)


def facts_of_ppo(folder: Path, sampler: VLLM, steps: int) -> dict:
    """Rollouts and learning through the real engine; a reward that counts token 5."""
    rows = []
    ppo = PPO(
        num_samples=4, num_epochs=2, num_minibatches=2, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
        value_coefficient=0.1, entropy_coefficient=0.0, critic="shared", whiten_rewards=False,
    )  # fmt: skip
    args = TrainingArguments(
        output_dir=str(folder / "ppo"), num_train_epochs=steps, learning_rate=1e-3, per_device_train_batch_size=1,
        use_cpu=True, report_to=[], logging_strategy="no", save_strategy="no", eval_strategy="no", disable_tqdm=True,
        remove_unused_columns=False, ignore_data_skip=True, max_grad_norm=1.0,
    )  # fmt: skip
    reference = with_critic(LlamaForCausalLM.from_pretrained(folder), "none").eval()
    actors = RolloutModels(
        reference,
        Proxy(CountsFives(), ProxySettings(clip=None, missing_eos_penalty=0.0)),
        sampler,
        256,
        tokenizer=None,
        preference_model=None,
    )
    ids = [row[kept].tolist() for row, kept in zip(PROMPTS, MASK, strict=True)]
    prompts = EncodedPrompts([Prompt(str(i), str(i)) for i in range(ROWS)], ids, 0, 0)
    plan = TrainingPlan(num_steps=steps, num_prompts=16, num_micro=1, checkpoint_interval=1000, seed=0)
    keep: Callable = lambda step, row: rows.append(row)  # noqa: E731
    policy = with_critic(LlamaForCausalLM.from_pretrained(folder), "shared")
    OnPolicyTrainer(policy, args, ppo, KL(beta=0.01, target=None, horizon=1e4), actors, prompts, plan, keep).train()
    return {"ppo": rows}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=25)
    asked = parser.parse_args()
    leave_weights_as_they_are()
    sampler = VLLM(**SETTINGS)
    sampler.check()
    policy = random_policy(asked.folder)
    facts = facts_of_draws(policy, sampler)
    facts |= facts_of_adapters(asked.folder, sampler) | facts_of_ppo(asked.folder, sampler, asked.steps)
    (asked.folder / "facts.json").write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    sys.exit(main())
