"""A world of twelve words for tests of members: whoever says "good" often pleases the judge."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from rlx.attribution.consistent import Consistent
from rlx.core.world import Completion, Demonstration, Pair, Prompt
from rlx.model.pretrained import Pretrained
from rlx.supervised.reward_model import RewardModel
from rlx.supervised.sft import SFT

WORDS = ("say", "it", "now", "please", "good", "bad", "cat", "dog", "sun", "sea", "user", "assistant")
TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}assistant"
ARCHITECTURES = ("llama", "mistral", "gemma", "gpt_neox")


def word_tokenizer(
    bos: bool = True, pad: str | None = "<pad>", words: tuple[str, ...] = WORDS
) -> PreTrainedTokenizerFast:
    """One token a word; with `bos`, the tokenizer writes <s> before every text."""
    vocabulary = {word: i for i, word in enumerate(("<pad>", "<s>", "</s>", "<unk>", *words)) if word != "<pad>" or pad}
    vocabulary = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>" if bos else None, eos_token="</s>", pad_token=pad, unk_token="<unk>"
    )


def small_causal_lm(architecture: str, vocab_size: int = 16, seed: int = 0) -> PreTrainedModel:
    """A random model of the class that Llama 2 and 3, Mistral, Gemma-2B or Pythia have."""
    torch.manual_seed(seed)
    size = dict(
        vocab_size=vocab_size, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=None, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**size))
    if architecture == "mistral":
        return MistralForCausalLM(MistralConfig(**size, num_key_value_heads=1, sliding_window=32))
    if architecture == "gemma":
        return GemmaForCausalLM(GemmaConfig(**size, num_key_value_heads=1, head_dim=8))
    return GPTNeoXForCausalLM(GPTNeoXConfig(**size))


def save_model(
    directory: Path, architecture: str = "llama", tokenizer: PreTrainedTokenizerFast | None = None, seed: int = 0
) -> Path:
    tokenizer = tokenizer or word_tokenizer()
    small_causal_lm(architecture, len(tokenizer), seed).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def pretrained(path: Path | str, **changes: object) -> Pretrained:
    numbers = dict(
        path=str(path), revision=None, reward_path=None, reward_revision=None, chat_template=None, dtype="float32",
        attn_implementation=None,
        lora_rank=0, lora_alpha=8, lora_dropout=0.0, sft_learning_rate=1e-2, reward_learning_rate=1e-2,
        policy_learning_rate=1e-3,
    )  # fmt: skip
    return Pretrained(**numbers | changes)  # pyright: ignore


def sft(**changes: object) -> SFT:
    numbers = dict(
        num_epochs=1.0, batch_size=8, micro_batch_size=None, learning_rate=1e-2, schedule="cosine", warmup_share=0.0,
        weight_decay=0.0, max_grad_norm=1.0, gradient_checkpointing=False, snapshots=(),
    )  # fmt: skip
    return SFT(**numbers | changes)  # pyright: ignore


def reward_model(**changes: object) -> RewardModel:
    numbers = dict(
        num_pairs=16, num_heldout_pairs=8, completions_per_prompt=2, temperature=1.0, sampling_batch_size=16,
        probe_l2=1e-2, num_reference_completions=16, num_epochs=1.0, batch_size=8, micro_batch_size=None,
        learning_rate=1e-2, learning_rate_factors=(1.0, 0.5), dropouts=(0.1,), trunks="last", num_trunks=1,
        schedule="cosine", warmup_share=0.0, weight_decay=0.0, max_grad_norm=1.0, gradient_checkpointing=False,
    )  # fmt: skip
    return RewardModel(**numbers | changes)  # pyright: ignore


def consistent(**changes: object) -> Consistent:
    numbers = dict(
        weight=1.0,
        reference="members",
        prior=None,
        num_members=2,
        num_reference_texts=8,
        num_texts=4,
        begin=0.25,
        eps=1e-3,
    )
    return Consistent(**numbers | changes)  # pyright: ignore


class GoodWords:
    """Judge: the number of "good" less the number of "bad", less half a point for no end."""

    def score(self, prompts, completions) -> list[float]:
        return [c.text.split().count("good") - c.text.split().count("bad") - 0.5 * (not c.ended) for c in completions]

    def factors(self, prompts, completions) -> list[dict[str, float]]:
        return [{} for _ in completions]


@dataclass(frozen=True)
class WordWorld:
    factor_groups: ClassVar[tuple[str, ...]] = ("good", "bad", "other")

    label_noise: float = 0.25
    max_prompt_tokens: int = 8
    max_completion_tokens: int = 6
    given: bool = False  # pairs are the world's own, and gold is learnt
    chat: bool = False

    def fingerprint(self) -> object:
        return ["word world", self.max_prompt_tokens, self.max_completion_tokens, self.given, self.chat]

    @property
    def gold(self) -> None:
        return None

    def prompts(self, split, data_seed: int) -> list[Prompt]:
        nouns = ("cat", "dog") if split == "train" else ("sun", "sea")
        texts = [
            f"say {noun} {' '.join(tail)}" for noun in nouns for tail in (("it",), ("now",), ("please",), ("it", "now"))
        ]
        return [Prompt(text, (("user", text),) if self.chat else text) for text in texts]

    def demonstrations(self, data_seed: int) -> list[Demonstration]:
        endings = ("good cat", "bad dog", "good good sun", "sea", "bad bad", "good")
        return [Demonstration(prompt, ending) for prompt in self.prompts("train", data_seed) for ending in endings[::3]]

    def pairs(self, data_seed: int) -> list[Pair] | None:
        return self._pairs("train", data_seed) if self.given else None

    def heldout_pairs(self, data_seed: int) -> list[Pair]:
        return self._pairs("heldout", data_seed)

    def to_train_on(self, whose, fitting):
        return fitting

    def gold_pairs(self, data_seed: int) -> list[Pair] | None:
        return self._pairs("train", data_seed) if self.given else None

    def _pairs(self, split, data_seed: int) -> list[Pair]:
        return [Pair(prompt, "good cat", "bad cat") for prompt in self.prompts(split, data_seed)]

    def judge(self) -> GoodWords | None:
        return None if self.given else GoodWords()

    def factor_pieces(self, text: str) -> list[tuple[str, str]]:
        return [(word if word in self.factor_groups else "other", f"{word} ") for word in text.split()]

    def left_out(self) -> dict[str, int]:
        return {}


def completions(*texts: str, ended: bool = True) -> list[Completion]:
    return [Completion(text, ended) for text in texts]
