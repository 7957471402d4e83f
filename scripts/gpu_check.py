"""What has to be right and what is worth knowing on a GPU, as a Markdown table for docs/performance.md.

    python scripts/gpu_check.py [--out FILE]           on the first GPU; where there is none it says so and ends with 0
    python scripts/gpu_check.py --device cpu --small   the same code at toy size, without a GPU

1. Log-probabilities in bfloat16 against fp32, and in chunks of tokens against all at once.
2. A miniature of the lab by compute=ddp in one process against compute=cpu, from the same artefacts.
3. A rollout of PPO of a randomly initialised Llama (1.2 billion parameters, 128 thousand words), all weights and adapters:
   tokens a second, peak memory, and what `rlx plan` says of it.
4. Scoring by five reward models against their mean (WARM), as whole models and as adapters on one base.
5. 3 and 4 with adapters at the shape of a 7B model, where the card has 40 GB. Ends with 1 where a tolerance is broken.
"""

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAB = (
    "world.num_demonstrations=96 sft.num_epochs=1 reward_model.num_pairs=64 reward_model.num_heldout_pairs=32 "
    "reward_model.num_epochs=1 reward_model.num_reference_completions=32 num_prompts=8 num_steps=2 evaluation.interval=2 "
    "evaluation.num_prompts=16 evaluation.final_num_prompts=16 tracker=jsonl name=lab"
)
# Nats, over random weights and tokens: bfloat16 has 8 bits of significand, so a logit near 1 is off by up to .004.
BF16_MEAN, BF16_MOST, CHUNKS_MOST = 0.02, 0.3, 1e-3
LAB_MOST = 0.02  # at the first step and the measurement before it: no rounding has moved a token yet
COMPARED = ("proxy/score", "gold/score", "objective/entropy", "completions/mean_length", "objective/scores")


@dataclass(frozen=True)
class Row:
    what: str
    value: str
    right: bool | None = None  # None: measured, not judged


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    model: dict[str, int]
    prompts: int
    prompt_tokens: int
    new_tokens: int
    micro: int
    scored: int


FULL = Scale(
    dict(vocab_size=128_256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
         num_key_value_heads=8), prompts=32, prompt_tokens=128, new_tokens=128, micro=8, scored=128,
)  # fmt: skip
SEVEN = Scale(
    dict(vocab_size=32_000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
         num_key_value_heads=32), prompts=16, prompt_tokens=256, new_tokens=256, micro=16, scored=64,
)  # fmt: skip
SMALL = Scale(
    dict(vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
         num_key_value_heads=2), prompts=4, prompt_tokens=8, new_tokens=8, micro=2, scored=8,
)  # fmt: skip


def llama(scale: Scale, kind: str = "CausalLM", seed: int = 0) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **scale.model, pad_token_id=0, eos_token_id=1, bos_token_id=None,
        tie_word_embeddings=True, num_labels=1, max_position_embeddings=4096,
    )  # fmt: skip
    return getattr(transformers, f"LlamaFor{kind}")(config)


def inputs_of(scale: Scale, rows: int, device: str) -> dict[str, Any]:
    import torch

    size = (rows, scale.prompt_tokens + scale.new_tokens)
    ids = torch.randint(2, scale.model["vocab_size"], size, generator=torch.Generator().manual_seed(1)).to(device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_length": scale.new_tokens}


def log_probabilities(scale: Scale, device: str) -> list[Row]:
    import torch

    from rlx.model import output_head
    from rlx.model.actor_critic import with_critic
    from rlx.model.precision import cast

    model = with_critic(llama(scale), "none").to(device).eval()
    inputs, found, chunk = inputs_of(scale, 4, device), {}, output_head.CHUNK
    with torch.no_grad():
        found["whole"] = model(**inputs)["logps"]
        output_head.CHUNK = 7 * scale.model["vocab_size"]
        found["in chunks"] = model(**inputs)["logps"]
        output_head.CHUNK = chunk
        with torch.autocast(device, dtype=torch.bfloat16):
            found["masters, autocast"] = model(**inputs)["logps"]
        found["weights in bfloat16"] = cast(model, torch.bfloat16)(**inputs)["logps"]
    off = {name: (x.float() - found["whole"]).abs() for name, x in found.items()}
    rows = [Row("log-probabilities in chunks against whole, most", f"{off['in chunks'].max():.1e} nats",
                bool(off["in chunks"].max() <= CHUNKS_MOST))]  # fmt: skip
    for name in ("masters, autocast", "weights in bfloat16"):
        mean, most = float(off[name].mean()), float(off[name].max())
        right = mean <= BF16_MEAN and most <= BF16_MOST
        rows.append(Row(f"bfloat16 ({name}) against fp32, mean and most", f"{mean:.4f}, {most:.3f} nats", right))
    return rows


def lab(device: str) -> list[Row]:
    """Held-out measurement before the first step, and the first step: on the CPU, then here from the same artefacts."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, compute in (("cpu", "compute=cpu"), (device, "compute=ddp compute.num_processes=1")):
            env = os.environ | {"RLX_CACHE": f"{folder}/cache", "RLX_RUNS": f"{folder}/{name}-{len(found)}"}
            words = ["-m", "rlx.cli", "train", *shlex.split(f"{compute} {LAB}")]
            done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True)
            if done.returncode:
                return [Row(f"a miniature of the lab, {compute}", f"failed: {done.stderr.strip()[-300:]}", False)]
            lines = Path(env["RLX_RUNS"], "lab-seed0", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            found.append([json.loads(line) for line in lines][:2])
    pairs = [(one[key], two[key]) for one, two in zip(*found, strict=True) for key in COMPARED if key in one]
    most = max(abs(a - b) for a, b in pairs)
    return [Row(f"the lab's start and first step here against the CPU, most of {len(pairs)} numbers", f"{most:.1e}",
                most <= LAB_MOST)]  # fmt: skip


class EvenWords:
    """A reward that costs nothing: the share of even tokens."""

    raw_std = 1.0

    def member_scores(self, prompt_ids_BP: Any, prompt_mask_BP: Any, ids_BT: Any, mask_BT: Any) -> Any:
        return (((ids_BT % 2 == 0) & mask_BT).sum(-1) / mask_BT.sum(-1))[None]

    def aggregate(self, member_scores_MB: Any) -> Any:
        return member_scores_MB[0]


def ppo(scale: Scale, device: str, rank: int) -> list[Row]:
    """The second of two rollouts: the first one warms up."""
    import torch
    from peft import LoraConfig
    from transformers import TrainingArguments

    from rlx.core.settings import ProxySettings
    from rlx.core.world import Prompt
    from rlx.engine.experience import RolloutModels
    from rlx.engine.prompts import EncodedPrompts
    from rlx.engine.proxy import Proxy
    from rlx.engine.trainer import OnPolicyTrainer, TrainingPlan
    from rlx.model.actor_critic import with_adapters, with_critic
    from rlx.model.bare import without_adapters
    from rlx.model.precision import beside_masters, cast
    from rlx.optimizer.ppo import PPO
    from rlx.regularizer.kl import KL
    from rlx.sampler.transformers import Transformers

    cuda = device == "cuda"
    lora = LoraConfig(r=rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM") if rank else None
    model = cast(llama(scale), torch.bfloat16)
    model = model if lora else cast(model, torch.float32)
    count = model.num_parameters()
    policy = with_adapters(with_critic(model, "shared"), lora)
    if lora:
        reference: Any = without_adapters(policy)  # pyright: ignore[reportArgumentType]
    else:
        reference = beside_masters(cast(llama(scale), torch.bfloat16)).requires_grad_(False).eval()
        reference = with_critic(reference.to(device), "none")
    algorithm = PPO(
        num_samples=1, num_epochs=1, num_minibatches=1, gamma=1.0, lam=0.95, clip=0.2, value_clip=0.2,
        value_coefficient=0.1, entropy_coefficient=0.0, critic="shared", whiten_rewards=False,
    )  # fmt: skip
    ids = inputs_of(scale, 2 * scale.prompts, "cpu")["input_ids"][:, : scale.prompt_tokens].tolist()
    sampler = Transformers(scale.new_tokens, 1.0, scale.prompts)
    proxy = Proxy(EvenWords(), ProxySettings(clip=None, missing_eos_penalty=0.0))
    rows: list[dict[str, float]] = []
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder, num_train_epochs=2, learning_rate=1e-6, use_cpu=not cuda, bf16=True, report_to=[],
            logging_strategy="no", save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            ignore_data_skip=True, gradient_accumulation_steps=scale.micro,
        )  # fmt: skip
        OnPolicyTrainer(
            policy, args, algorithm, KL(beta=0.05, target=None, horizon=10000),
            RolloutModels(reference, proxy, sampler, scale.prompts // 2, None, None),  # pyright: ignore
            EncodedPrompts([Prompt(str(i), "") for i in range(len(ids))], ids, 0, 0),
            TrainingPlan(2, scale.prompts, scale.micro, 3, 0), lambda step, row, *_: rows.append(row),
        ).train()  # fmt: skip
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    row, drawn = rows[-1], scale.prompts * scale.new_tokens
    whole = scale.prompts * (scale.prompt_tokens + scale.new_tokens)
    name = f"PPO, {count:,} parameters, {f'adapters of rank {rank}' if rank else 'all weights'}"
    finite = all(x == x and abs(x) != float("inf") for x in row.values())
    return [
        Row(f"{name}: drawing", f"{drawn / row['time/draw']:,.0f} new tokens/s"),
        Row(f"{name}: scoring by policy and reference", f"{whole / row['time/score']:,.0f} tokens/s"),
        Row(f"{name}: learning", f"{whole / row['time/learn']:,.0f} tokens/s"),
        Row(f"{name}: peak memory ({'allocated' if cuda else 'of the whole script'}); estimated",
            f"{peak / 1e9:.2f} GB; {estimated(scale, rank, cuda) / 1e9:.2f} GB"),
        Row(f"{name}: every number of the step is finite", f"loss {row['loss/policy_avg']:.4f}", finite),
    ]  # fmt: skip


def estimated(scale: Scale, rank: int, cuda: bool) -> int:
    """What `rlx plan` counts for this, less the reward model that there is none of."""
    from rlx.command.compose import compose
    from rlx.estimate.held import most
    from rlx.estimate.memory import held
    from rlx.estimate.size import size_of

    with tempfile.TemporaryDirectory() as folder:
        llama(Scale(**{**vars(scale), "model": scale.model | {"num_hidden_layers": 1}})).config.save_pretrained(folder)
        config_file = Path(folder, "config.json")
        config_file.write_bytes(json.dumps(json.loads(config_file.read_bytes()) | scale.model).encode())
        micro = f"compute.micro_batch_size={scale.prompts // scale.micro}"
        words = ["model=pretrained", f"model.path={folder}", "model.dtype=bfloat16", f"model.lora_rank={rank}",
                 f"compute={'ddp' if cuda else 'cpu'}", micro, f"num_prompts={scale.prompts}", "reward=gold",
                 "optimizer.num_minibatches=1", f"world.max_prompt_tokens={scale.prompt_tokens}",
                 f"sampler.max_new_tokens={scale.new_tokens}"]  # fmt: skip
        size = size_of((cell := compose(words)[0]).config["model"])
        assert size is not None
        return most(held(cell.config, size))


def scoring(scale: Scale, device: str) -> list[Row]:
    import torch
    from gpu_scoring import whole

    from rlx.model.precision import cast

    models = [cast(llama(scale, "SequenceClassification", i), torch.bfloat16).to(device).eval() for i in range(5)]
    return [
        Row(*row) for row in whole(models, inputs_of(scale, scale.scored, device)["input_ids"], scale.prompt_tokens)
    ]


def adapters(scale: Scale, device: str) -> list[Row]:
    import torch
    from gpu_scoring import adapted, against_merged

    from rlx.model.precision import cast

    ids = inputs_of(scale, scale.scored, device)["input_ids"]
    rows = adapted(cast(llama(scale, "SequenceClassification"), torch.bfloat16), ids, device)
    rows += against_merged(llama(SMALL, "SequenceClassification"), inputs_of(SMALL, 8, device)["input_ids"], device)
    return [Row(*row) for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the table to a file as well")
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    from rlx.process.device import see_one

    if args.device == "cuda":
        see_one()
        if not torch.cuda.is_available():
            print("no GPU here, nothing was checked; --device cpu --small runs the same checks at toy size")
            return 0
    card = torch.cuda.get_device_name() if args.device == "cuda" else f"no GPU ({torch.get_num_threads()} CPU threads)"
    scale, device = SMALL if args.small else FULL, args.device
    checks = [
        lambda: log_probabilities(scale, device), lambda: lab(device), lambda: ppo(scale, device, 0),
        lambda: ppo(scale, device, 16), lambda: scoring(scale, device), lambda: adapters(scale, device),
    ]  # fmt: skip
    if device == "cuda" and not args.small and torch.cuda.get_device_properties(0).total_memory > 40e9:
        checks += [lambda: ppo(SEVEN, device, 16), lambda: adapters(SEVEN, device)]
    rows: list[Row] = []
    for check in checks:
        rows += check()
        if device == "cuda":
            torch.cuda.empty_cache()
    mark = {True: "right", False: "**wrong**", None: ""}
    lines = [f"| {card}, torch {torch.__version__} | | |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {mark[row.right]} |" for row in rows]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(any(row.right is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
