"""Any causal language model of the Hub or of a local directory, as policy and as trunk of the reward models."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, TaskType
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rlx.core.error import UserError
from rlx.core.numbers import NonNegative, NonNegativeInt, Positive
from rlx.model import attention
from rlx.model.checkpoint import Weights, content_hash, loading, local_directory, quiet
from rlx.model.output_head import says_its_logits
from rlx.model.readable import NOT_WHOLE, check_finite, named
from rlx.model.recipe import Task
from rlx.model.reward_trunk import HEAD, fitted, load_trunk
from rlx.model.tokens import pad_token_for

log = logging.getLogger(__name__)
# Raise this when results of models that are not float32 change, so that their artefacts are built again. 2: autocast on
# CPUs too, score heads in float32.
MIXED_PRECISION = 2
# Raise this when what adapters make of a model changes. 2: reward models are adapters on a shared base and not merged.
ADAPTERS = 2


@dataclass(frozen=True)
class Pretrained:
    """Weights are never changed on loading, but for the rows that a padding token which had to be added needs."""

    path: str  # Hub id or local directory
    revision: str | None  # Hub branch, tag or commit
    reward_path: str | None  # trunk of the reward models; None = the SFT policy's
    reward_revision: str | None
    chat_template: str | None  # Jinja file, for policy and reward trunk alike; None = each tokenizer's own
    dtype: Literal["float32", "bfloat16"]
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"] | None
    lora_rank: NonNegativeInt  # 0 = all weights are trained
    lora_alpha: Positive
    lora_dropout: NonNegative
    sft_learning_rate: Positive
    reward_learning_rate: Positive
    policy_learning_rate: Positive

    def fingerprint(self) -> object:
        """Learning rates are left out: they belong to the trainings that use them."""
        template = template_of(self.chat_template) if self.chat_template else None
        lora = [self.lora_rank, self.lora_alpha, self.lora_dropout, ADAPTERS] if self.lora_rank else None
        reward = _identity(self.reward_path, self.reward_revision) if self.reward_path else None
        dtype = self.dtype if self.dtype == "float32" else [self.dtype, MIXED_PRECISION]
        kernel = [] if self.attn_implementation is None else [self.attn_implementation]
        return [_identity(self.path, self.revision), reward, template, dtype, lora, *kernel]

    def config(self) -> PreTrainedConfig:
        """Read without the weights. Raises UserError where transformers does not know what config.json describes."""
        directory = local_directory(self.path, self.revision, "model.path")
        with named(f"model.path={directory}", "take another model"), quiet():
            return AutoConfig.from_pretrained(directory, trust_remote_code=False)  # None would ask, and wait

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer(self.path, self.revision, "model.path")

    def reward_tokenizer(self) -> PreTrainedTokenizerBase:
        if self.reward_path is None:
            return self.tokenizer()
        return self._tokenizer(self.reward_path, self.reward_revision, "model.reward_path")

    def shares_tokenizer(self) -> bool:
        if self.reward_path is None:
            return True
        policy, reward = self.tokenizer(), self.reward_tokenizer()
        special = [(t.bos_token_id, t.eos_token_id, t.pad_token_id) for t in (policy, reward)]
        return policy.get_vocab() == reward.get_vocab() and special[0] == special[1]

    def policy(self, path: Path | None) -> PreTrainedModel:
        directory = local_directory(self.path, self.revision, "model.path") if path is None else path
        shown = f"model.path={directory}"
        with named(shown, NOT_WHOLE), loading(), attention.had(self.attn_implementation):
            model, info = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
                directory,
                dtype=self._dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # we say ourselves which
                **attention.asked(self.attn_implementation),
            )
        attention.check(model, self.attn_implementation)
        if other := sorted(info["mismatched_keys"]):
            name, there, wanted = other[0]
            raise UserError(
                f"{shown}: {name} is {list(there)} in the checkpoint, and config.json says {list(wanted)}; {NOT_WHOLE}"
            )
        if lost := sorted(info["missing_keys"]):
            raise UserError(f"model.path={directory}: {lost[0]} is not in the checkpoint; it is no whole causal LM")
        if path is None:
            check_finite(model, shown)
        if path is None and not says_its_logits(model):  # trained from it, no other will
            raise UserError(
                f"model.path={directory}: {type(model).__name__} scales or bends its logits outside its output head in a way "
                "that rlx does not know, so log-probabilities would be wrong; use a model of another architecture"
            )
        return fitted(model, self.tokenizer())

    def reward_trunk(self, policy_path: Path) -> PreTrainedModel:
        base = self.reward_base(policy_path)
        if self.reward_path is not None and HEAD in Weights(base).names():
            log.warning("model.reward_path=%s: its trained score head gives way to a probed one", base)
        return load_trunk(base, self._dtype, self.reward_tokenizer(), self.attn_implementation)

    def reward_base(self, policy_path: Path) -> Path:
        if self.reward_path is None:
            return policy_path
        return local_directory(self.reward_path, self.reward_revision, "model.reward_path")

    def lora(self, task: Task) -> LoraConfig | None:
        if self.lora_rank == 0:
            return None
        return LoraConfig(
            r=self.lora_rank,
            lora_alpha=self.lora_alpha,  # pyright: ignore[reportArgumentType]
            lora_dropout=self.lora_dropout,
            target_modules="all-linear",
            task_type=TaskType(task),
            modules_to_save=["score"] if task == "SEQ_CLS" else None,
        )

    @property
    def _dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    def _tokenizer(self, name: str, revision: str | None, key: str) -> PreTrainedTokenizerBase:
        with named(f"{key}={name}: its tokenizer", "save the model with a tokenizer that transformers can load"):
            tokenizer = AutoTokenizer.from_pretrained(local_directory(name, revision, key), trust_remote_code=False)
        tokenizer.name_or_path = name
        if tokenizer.eos_token_id is None:
            raise UserError(f"{key}={name}: its tokenizer has no end-of-sequence token; without one no completion ends")
        if self.chat_template:
            tokenizer.chat_template = template_of(self.chat_template)
        if (pad := pad_token_for(tokenizer)) is not None:
            was = "no padding token" if tokenizer.pad_token is None else "the end of sequence as padding token"
            new = pad not in tokenizer.get_vocab()
            _say_once(f"{key}={name} has {was}; {'adding' if new else 'using'} {pad} for padding")
            tokenizer.add_special_tokens({"pad_token": pad})
        return tokenizer


@cache
def _say_once(line: str) -> None:
    """Log `line` the first time only: a run opens its tokenizer many times."""
    log.info("%s", line)


def _identity(name: str, revision: str | None) -> object:
    path = Path(name).expanduser()
    return content_hash(path) if path.is_dir() else [name, revision or "main"]


def template_of(name: str) -> str:
    """The text of `model.chat_template`. Raises UserError where it cannot be read."""
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except OSError as ex:
        raise UserError(
            f"model.chat_template={name}: cannot be read ({ex.strerror}); give the path of a Jinja file"
        ) from ex
    except UnicodeDecodeError as ex:
        raise UserError(
            f"model.chat_template={name}: not UTF-8: byte 0x{ex.object[ex.start]:02x}; save it as UTF-8"
        ) from ex
