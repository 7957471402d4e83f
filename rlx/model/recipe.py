"""What a `model=` choice offers: weights, tokenizers and the numbers that fine-tuning them needs."""

from pathlib import Path
from typing import Literal, Protocol

from peft import LoraConfig
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Task = Literal["CAUSAL_LM", "SEQ_CLS"]


class Model(Protocol):
    """A frozen recipe. Its fingerprint says which weights and tokenizer; learning rates are no part of it, because the
    recipes that train (`supervised=`) carry the ones that they use."""

    sft_learning_rate: float
    reward_learning_rate: float
    policy_learning_rate: float

    def fingerprint(self) -> object:
        """JSON-able identity: content hash of local files, or id and revision of a Hub model."""
        ...

    def config(self) -> PreTrainedConfig:
        """The policy's architecture, read without its weights."""
        ...

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The policy's, with an end-of-sequence token and a padding token that differ."""
        ...

    def reward_tokenizer(self) -> PreTrainedTokenizerBase:
        """The reward trunk's: the policy's own unless the trunk is another model."""
        ...

    def shares_tokenizer(self) -> bool:
        """Whether the policy's token ids mean the same to the reward trunk. Where not, scoring goes through text."""
        ...

    def policy(self, path: Path | None) -> PreTrainedModel:
        """The causal language model saved at `path`; the base if None."""
        ...

    def reward_trunk(self, policy_path: Path) -> PreTrainedModel:
        """A sequence classifier with one label and a score head of zeros, on the trunk of the SFT policy saved at
        `policy_path` (or on the model's own reward trunk, where it has one)."""
        ...

    def reward_base(self, policy_path: Path) -> Path:
        """The directory that `reward_trunk` reads."""
        ...

    def lora(self, task: Task) -> LoraConfig | None:
        """Adapters to train instead of all weights; None for full fine-tuning. Those of a policy are merged before it is
        saved, those of a reward model are not."""
        ...
