"""Makes a model directory small enough for two CPU cores, to try `world=preferences` with: not to get results from.

    OMP_NUM_THREADS=1 python scripts/make_small_model.py --out small --preferences pairs.jsonl [--steps 400]
    rlx train world=preferences world.path=pairs.jsonl model=pretrained model.path=small ...

A byte-level BPE tokenizer is trained on the texts (so that every text can be written, and pad, EOS and BOS differ),
and a randomly initialised Llama, Mistral, Gemma or GPT-NeoX is saved with it. `--steps` pre-trains it on them, so
that SFT has something to start from. Of preference data, only what proxies and demonstrations may see is read, with the
shares and data_seed of conf/world/preferences.yaml: no gold pair, no held-out prompt. Same arguments, same files.
"""

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from rlx.core.error import UserError
from rlx.core.world import Messages
from rlx.model.tokens import encode_completion, encode_prompt
from rlx.world.preferences import Preferences

CONF = Path(__file__).parents[1] / "conf/world/preferences.yaml"
PAD, EOS, BOS, USER, ASSISTANT = "<|pad|>", "<|eos|>", "<|bos|>", "<|user|>", "<|assistant|>"
WITH_BOS = ("llama", "mistral", "gemma")
CHAT = (
    "{{ bos_token or '' }}{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make_tokenizer(texts: Sequence[str], vocab_size: int, bos: bool, chat: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE of `vocab_size` entries, the 256 bytes among them; `chat` adds a template with role marks."""
    special = [PAD, EOS, *([BOS] if bos else []), *(["<|system|>", USER, ASSISTANT] if chat else [])]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, bos_token=BOS if bos else None
    )
    if chat:
        made.chat_template = CHAT
    return made


def make_model(
    architecture: str,
    tokenizer: PreTrainedTokenizerBase,
    width: int,
    layers: int,
    heads: int,
    positions: int,
    seed: int,
) -> PreTrainedModel:
    """A causal language model with random weights that knows the tokenizer's special tokens."""
    numbers = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 4 * width if architecture == "gpt_neox" else 5 * width // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": positions,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    match architecture:
        case "llama":
            config = LlamaConfig(**numbers, num_key_value_heads=heads, tie_word_embeddings=True)
        case "mistral":
            config = MistralConfig(**numbers, num_key_value_heads=max(1, heads // 2), sliding_window=None)
        case "gemma":
            config = GemmaConfig(**numbers, num_key_value_heads=1, head_dim=width // heads)
        case "gpt_neox":
            config = GPTNeoXConfig(**numbers)
        case _:
            raise UserError(f"--architecture {architecture}: choose llama, mistral, gemma or gpt_neox")
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config)


def read_preferences(path: str, prompt_template: str | None, as_chat: bool) -> list[tuple[str | Messages, str]]:
    """(prompt, completion), chosen and rejected alike, of the proxies' pairs, and the demonstrations."""
    numbers = OmegaConf.to_container(OmegaConf.load(CONF))
    assert isinstance(numbers, dict)
    del numbers["_target_"]
    given = {"path": path, "prompt_template": prompt_template, "as_chat": as_chat}
    world = Preferences(**{**numbers, **given})  # pyright: ignore[reportArgumentType]
    found = [(pair.prompt.text, text) for pair in world.pairs(0) for text in (pair.chosen, pair.rejected)]
    found += [(demonstration.prompt.text, demonstration.completion) for demonstration in world.demonstrations(0)]
    return list(dict.fromkeys(found))


def pretrain(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], steps: int, batch: int, learning_rate: float, seed: int
) -> None:
    """AdamW, cosine to a tenth, on next-token loss over whole rows; prints the loss now and then."""
    rng, pad = random.Random(seed), model.config.pad_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    warmup = min(50, max(1, steps // 10))
    model.train()
    start, losses = time.monotonic(), []
    for step in range(steps):
        scale = min(1.0, (step + 1) / warmup) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * scale
        # Rows of similar length beside each other, so that little is padding.
        drawn = sorted(rng.choices(rows, k=4 * batch), key=len)
        first = rng.randrange(4) * batch
        chosen = drawn[first : first + batch]
        longest = max(map(len, chosen))
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in chosen])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in chosen])
        loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            recent = statistics.fmean(losses[-50:])
            print(
                f"step {step + 1}/{steps}: loss {recent:.3f} nats a token, {time.monotonic() - start:.0f} s", flush=True
            )
    model.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preferences", help="what world.path takes: a file, a folder, a Hub dataset")
    source.add_argument("--texts", type=Path, help="a UTF-8 text file, one text a line")
    parser.add_argument("--out", type=Path, required=True, help="the directory to make; must not exist")
    parser.add_argument("--prompt-template", help="as world.prompt_template; write \\n for a line break")
    parser.add_argument("--as-chat", action="store_true", help="as world.as_chat=true; saves a chat template")
    parser.add_argument(
        "--chat-template", action="store_true", help="save a chat template (for prompts that are messages)"
    )
    parser.add_argument("--architecture", default="llama", help="llama, mistral, gemma or gpt_neox")
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--positions", type=int, default=1024, help="longest prompt and completion together, in tokens")
    parser.add_argument("--steps", type=int, default=0, help="of pre-training; 0 leaves the weights random")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=192, help="pre-training reads so much of each text")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if args.out.exists():
        raise UserError(f"--out {args.out}: is there already; choose another, or remove it")
    if args.width % args.heads:
        raise UserError(f"--width {args.width} must be a multiple of --heads {args.heads}")

    template = args.prompt_template.replace("\\n", "\n") if args.prompt_template else None
    if args.preferences:
        texts: list[tuple[str | Messages, str]] = read_preferences(args.preferences, template, args.as_chat)
    else:
        texts = [("", line) for line in args.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    chat = args.chat_template or args.as_chat or any(isinstance(prompt, tuple) for prompt, _ in texts)
    spoken = [part for prompt, text in texts for part in (*_parts(prompt), text) if part]
    tokenizer = make_tokenizer(spoken, args.vocab_size, args.architecture in WITH_BOS, chat)
    model = make_model(args.architecture, tokenizer, args.width, args.layers, args.heads, args.positions, args.seed)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens, from {len(texts)} texts")
    prompts = {
        prompt: encode_prompt(tokenizer, prompt) if prompt else [] for prompt in dict.fromkeys(p for p, _ in texts)
    }
    completions = [encode_completion(tokenizer, text) for _, text in texts]
    _say_lengths("prompts", [len(ids) for ids in prompts.values() if ids])
    _say_lengths("completions", [len(ids) for ids in completions])
    if args.steps:
        rows = [[*prompts[p], *ids][: args.max_tokens] for (p, _), ids in zip(texts, completions, strict=True)]
        pretrain(model, rows, args.steps, args.batch, args.learning_rate, args.seed)
    model.save_pretrained(args.out)
    tokenizer.model_max_length = args.positions
    tokenizer.save_pretrained(args.out)
    print(f"saved {args.out}")


def _parts(prompt: str | Messages) -> list[str]:
    return [prompt] if isinstance(prompt, str) else [content for _, content in prompt]


def _say_lengths(what: str, lengths: Sequence[int]) -> None:
    if len(lengths) > 1:
        tenths = statistics.quantiles(lengths, n=20, method="inclusive")
        numbers = f"half {tenths[9]:.0f}, 9 of 10 {tenths[17]:.0f}, longest {max(lengths)}"
        print(f"tokens of {what}: {numbers}; longer ones than world.max_{what[:-1]}_tokens are left out")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
