"""rlx's PPO beside the last PPO of TRL (1.12) on the same work: samples per second, taken in turn, as ratios.

    python scripts/bench_ppo.py --trl DIR [--rounds 3] [--rollouts 4]

DIR holds `pip install --no-deps --target DIR trl==1.12.0` (TRL has had no PPO since). Work: random Llama, 4 layers of
128, 512 tokens; 64 prompts of 16 tokens, 48 new tokens each, never an end of sequence; a reference and a reward model
of the same size; 4 passes of 4 minibatches = 16 updates a rollout. Each side runs in a process of its own.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time

PROMPTS, PROMPT_TOKENS, NEW_TOKENS, VOCABULARY, EPOCHS, MINIBATCHES = 64, 16, 48, 512, 4, 4
SIDES = ("trl", "rlx-shared", "rlx-separate")


def models(count: int):
    """`count` pairs (causal LM, one-label classifier) with different random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=4,
        num_attention_heads=4,
        pad_token_id=0,
        eos_token_id=VOCABULARY + 1,
        bos_token_id=None,
        num_labels=1,
    )
    return [(LlamaForCausalLM(config), LlamaForSequenceClassification(config)) for _ in range(count)]


def prompt_ids() -> list[list[int]]:
    import torch

    return torch.randint(2, VOCABULARY, (256, PROMPT_TOKENS), generator=torch.Generator().manual_seed(1)).tolist()


def time_rlx(critic: str, rollouts: int) -> list[float]:
    """Seconds between the ends of consecutive rollouts."""
    import torch
    from transformers import TrainingArguments

    from rlx.core.settings import ProxySettings
    from rlx.core.world import Prompt
    from rlx.engine.experience import RolloutModels
    from rlx.engine.forward import inputs_of
    from rlx.engine.prompts import EncodedPrompts
    from rlx.engine.proxy import Proxy
    from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
    from rlx.model.actor_critic import with_critic
    from rlx.optimizer.ppo import PPO
    from rlx.regularizer.kl import KL
    from rlx.sampler.transformers import Transformers

    (policy, _), (reference, reward) = models(2)

    class Reward:
        raw_std = 1.0

        @torch.no_grad()
        def member_scores(self, prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT):
            return reward.eval()(**inputs_of(prompt_ids_BP, prompt_mask_BP, ids_BT, mask_BT)).logits.T

        def aggregate(self, member_scores_MB):
            return member_scores_MB[0]

    ends: list[float] = []
    args = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=rollouts + 1,
        learning_rate=1e-4,
        use_cpu=True,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        ignore_data_skip=True,
    )
    ppo = PPO(
        num_samples=1, num_epochs=EPOCHS, num_minibatches=MINIBATCHES, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
        value_coefficient=0.1, entropy_coefficient=0.0, critic=critic, critic_depth=1.0, whiten_rewards=False,
    )  # fmt: skip
    ids = prompt_ids()
    proxy = Proxy(Reward(), ProxySettings(clip=None, missing_eos_penalty=0.0))
    trainer = OnPolicyTrainer(
        with_critic(policy, critic),
        args,
        ppo,
        KL(beta=0.05, target=None, horizon=10000),
        RolloutModels(
            with_critic(reference, "none"),
            proxy,
            Transformers(NEW_TOKENS, 1.0, PROMPTS),
            PROMPTS,
            None,
            None,
        ),
        EncodedPrompts([Prompt(str(i), "") for i in range(len(ids))], ids, 0, 0),
        TrainingPlan(rollouts + 1, PROMPTS, 1, rollouts + 2, 0),
        lambda step, row: ends.append(time.perf_counter()),
    )
    trainer.train()
    return [after - before for before, after in itertools.pairwise(ends)]


def time_trl(folder: str, rollouts: int) -> list[float]:
    sys.path.insert(0, folder)
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers import models as tokenizer_models
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    (policy, value), (reference, reward) = models(2)
    for model in (policy, reference):
        model.generation_config.eos_token_id = None
    words = {"[PAD]": 0, "[EOS]": 1} | {f"w{i}": i for i in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(tokenizer_models.WordLevel(words, unk_token="[PAD]")),
        pad_token="[PAD]",
        eos_token="[EOS]",
    )
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            ends.append(time.perf_counter())

    args = PPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=PROMPTS // MINIBATCHES, num_mini_batches=MINIBATCHES,
        gradient_accumulation_steps=MINIBATCHES, num_ppo_epochs=EPOCHS, total_episodes=PROMPTS * (rollouts + 1),
        response_length=NEW_TOKENS, local_rollout_forward_batch_size=PROMPTS, num_sample_generations=0, learning_rate=1e-4,
        use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", logging_strategy="no",
        disable_tqdm=True, temperature=1.0, missing_eos_penalty=None,
    )  # fmt: skip
    # With the documented setting above it would make 4 updates a rollout, not 16: `accumulate` counts the minibatches.
    args.gradient_accumulation_steps, args.per_device_train_batch_size = 1, PROMPTS
    data = Dataset.from_dict({"input_ids": prompt_ids()})
    trainer = PPOTrainer(
        args, tokenizer, policy, reference, reward, data, value, eval_dataset=data, callbacks=[Clock()]
    )
    updates = [0]
    inner = trainer.optimizer.optimizer
    original = inner.step
    inner.step = lambda *a, **k: (updates.__setitem__(0, updates[0] + 1), original(*a, **k))[1]
    trainer.train()
    assert updates[0] == EPOCHS * MINIBATCHES * (rollouts + 1), f"TRL made {updates[0]} updates"
    return [after - before for before, after in itertools.pairwise(ends)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trl", required=True, metavar="DIR", help="where trl==1.12.0 is installed")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--rollouts", type=int, default=4, help="timed rollouts a turn, after one that is not")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        seconds = time_trl(args.trl, args.rollouts) if args.side == "trl" else time_rlx(args.side[4:], args.rollouts)
        print(json.dumps(seconds))
        return
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(args.rounds):
        for side in SIDES:
            done = subprocess.run(
                [sys.executable, __file__, "--side", side, *sys.argv[1:]], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
            rate = PROMPTS / statistics.median(json.loads(done.stdout.splitlines()[-1]))
            rates[side].append(rate)
            print(f"round {turn + 1}: {side:13s} {rate:6.2f} samples/s", flush=True)
    for side in SIDES[1:]:
        ratios = [mine / theirs for mine, theirs in zip(rates[side], rates["trl"], strict=True)]
        print(f"{side} / trl: median {statistics.median(ratios):.2f}x (min {min(ratios):.2f}, max {max(ratios):.2f})")


if __name__ == "__main__":
    main()
