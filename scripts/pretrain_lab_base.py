"""Make rlx/model/lab_base or rlx/model/lab_large_base: a pre-trained base of the lab, from a fixed seed.

    OMP_NUM_THREADS=1 python scripts/pretrain_lab_base.py [--model lab_large] [--out DIRECTORY] [--steps 2000]

About 4 minutes on one CPU core for the small one, 10 for the large one. The texts have every quality. Only training prompts
are seen. The texts come from the world's generator with a lower share of good ones than the demonstrations, and with the
same tie between quality and politeness. At first all texts are on the topic, in the mood and grammatical (so the model soon
learns to look at what is asked); then the share of such texts falls to none. Prints the sha256 of every file, to be pinned
in rlx/model/lab.py and rlx/model/lab_large.py.
"""

import argparse
import hashlib
import math
import random
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import BatchEncoding, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rlx.core.seed import seed_of
from rlx.sampler.transformers import Transformers
from rlx.supervised.drawing import draw
from rlx.world.lab_language.generator import Levels, respond, write
from rlx.world.lab_language.judge import LabJudge
from rlx.world.lab_language.lexicon import words
from rlx.world.lab_language.request import parse, prompts

QUALITY_SHARES = (0.4, 0.4, 0.2)  # bad, mediocre, good
SPURIOUS_STRENGTH = 0.8  # as in conf/world/lab.yaml: two epochs of demonstrations alone would hardly teach it
BATCH, POOL = 64, 8  # sequences a step; steps drawn together and sorted by length, so that little is padding
WARMUP, WEIGHT_DECAY = 100, 0.05
ALL_GOOD_UNTIL, NONE_GOOD_FROM = 0.3, 0.6  # of training
MAX_COMPLETION_TOKENS = 64


class Size(NamedTuple):
    width: int
    mlp: int
    layers: int
    heads: int
    learning_rate: float


SIZES = {"lab": Size(64, 160, 2, 2, 4e-3), "lab_large": Size(128, 320, 4, 4, 2e-3)}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; text is cut at whitespace and put together again with single spaces.

    <pad> and <eos> are no words: text that looks like them is unknown where special tokens are not parsed.
    """
    vocabulary = ["<unk>", *words()]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", model_max_length=128
    )


def make_model(tokenizer: PreTrainedTokenizerFast, name: str) -> LlamaForCausalLM:
    """An untrained Llama of 139 thousand parameters (`lab`) or of 843 thousand (`lab_large`)."""
    size = SIZES[name]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,  # pyright: ignore
        pad_token_id=tokenizer.pad_token_id,  # pyright: ignore
    )
    torch.manual_seed(seed_of("lab base" if name == "lab" else f"{name} base") % 2**32)
    return LlamaForCausalLM(config)


def draw_texts(rng: random.Random, count: int, good_share: float) -> list[str]:
    """`count` of "<prompt> <response> <eos>"."""
    texts = []
    for _ in range(count):
        prompt = rng.choice(prompts("train"))
        asked = parse(prompt.text)
        if rng.random() < good_share:
            response = write(rng, asked, Levels(2, 2, 2, 2, 2), rng.randrange(4))
        else:
            response = respond(rng, asked, QUALITY_SHARES, SPURIOUS_STRENGTH)
        texts.append(f"{prompt.text} {response} <eos>")
    return texts


def batches(rng: random.Random, tokenizer: PreTrainedTokenizerFast, good_share: float) -> list[BatchEncoding]:
    """POOL batches of BATCH texts of like length, in random order."""
    ids = tokenizer(draw_texts(rng, BATCH * POOL, good_share))["input_ids"]
    ids.sort(key=len)
    several = [tokenizer.pad({"input_ids": ids[i : i + BATCH]}, return_tensors="pt") for i in range(0, len(ids), BATCH)]
    rng.shuffle(several)
    return several


def schedule(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def inspect(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int = 216) -> str:
    """Mean gold and factors of samples for held-out prompts."""
    asked = prompts("heldout")[:count]
    completions = draw(model, tokenizer, asked, range(count), Transformers(MAX_COMPLETION_TOKENS, 1.0, count))
    judge = LabJudge()
    gold, factors = judge.score(asked, completions), judge.factors(asked, completions)
    means = ", ".join(f"{name} {statistics.mean(f[name] for f in factors):.2f}" for name in factors[0])
    return f"gold {statistics.mean(gold):.2f} sd {statistics.pstdev(gold):.2f}; {means}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, default="lab")
    parser.add_argument("--out", type=Path, help="default: where rlx ships it")
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    out = arguments.out or Path(f"rlx/model/{arguments.model}_base")
    peak = SIZES[arguments.model].learning_rate

    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, arguments.model)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer)} words")
    adam = torch.optim.AdamW(model.parameters(), peak, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
    rng = random.Random(seed_of("lab base", "texts"))
    pool: list[BatchEncoding] = []
    start, running = time.monotonic(), 0.0
    for step in range(arguments.steps):
        part = step / arguments.steps
        good_share = min(1.0, max(0.0, (NONE_GOOD_FROM - part) / (NONE_GOOD_FROM - ALL_GOOD_UNTIL)))
        pool = pool or batches(rng, tokenizer, good_share)
        batch = pool.pop()
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        adam.param_groups[0]["lr"] = peak * schedule(step, arguments.steps)
        adam.zero_grad(set_to_none=True)
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        running = 0.95 * running + 0.05 * loss.item() if step else loss.item()
        if (step + 1) % 100 == 0:
            print(
                f"step {step + 1} loss {running:.3f} good {good_share:.2f} {time.monotonic() - start:.0f} s", flush=True
            )
        if (step + 1) % 500 == 0:
            print(inspect(model, tokenizer), flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in sorted(out.iterdir()):
        print(f'    "{path.name}": "{hashlib.sha256(path.read_bytes()).hexdigest()}",')


if __name__ == "__main__":
    main()
