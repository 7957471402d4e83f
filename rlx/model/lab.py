"""The lab's own model: a Llama of 139 thousand parameters, shipped pre-trained, checked by hash before every use."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from peft import LoraConfig
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from rlx.core.error import UserError
from rlx.core.numbers import Positive
from rlx.model.pretrained import Pretrained
from rlx.model.recipe import Task

BASE = Path(__file__).parent / "lab_base"
# What scripts/pretrain_lab_base.py wrote, and prints at its end.
SHA256 = {
    "config.json": "384b16fb21bed7c9cc944d80d4e2a120e7066b965cab6e8fb383dbeba1e82c4a",
    "generation_config.json": "bbdce785aaaee470d7ad20f98732d51b703929c9f3626cc432dd0e8c4a37d703",
    "model.safetensors": "d4562064d168a4603da2a9361bdf4a7de514e54115922372163b0a0c63d854e7",
    "tokenizer.json": "8d148d50e579c7a1bb4616b7a7128d5c78a102158db83003aa0bfce70505b516",
    "tokenizer_config.json": "b1e40b102527cbed779819eab0d7e056f271e172c5fda6d0eb5b83137a3d80bf",
}


@dataclass(frozen=True)
class Lab:
    """Base, tokenizer and learning rates for `world=lab` (an rlx.model.recipe.Model). All weights are trained."""

    shipped: ClassVar[bool] = True  # with rlx, and so small that several runs fit one machine
    base: ClassVar[Path] = BASE
    sha256: ClassVar[Mapping[str, str]] = SHA256

    sft_learning_rate: Positive
    reward_learning_rate: Positive
    policy_learning_rate: Positive

    def fingerprint(self) -> object:
        """The base's hashes."""
        return self.sha256

    def config(self) -> PreTrainedConfig:
        """The base's."""
        return self._base().config()

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """One token a word; <pad>, <eos> and <unk>, no beginning of sequence. Raises UserError for a changed base."""
        return self._base().tokenizer()

    def reward_tokenizer(self) -> PreTrainedTokenizerBase:
        return self.tokenizer()

    def shares_tokenizer(self) -> bool:
        return True

    def policy(self, path: Path | None) -> PreTrainedModel:
        """The causal language model saved at `path`; the shipped base if None. Raises UserError for a changed base."""
        return self._base().policy(path)

    def reward_trunk(self, policy_path: Path) -> PreTrainedModel:
        """A sequence classifier with one label and a score head of zeros, on the trunk saved at `policy_path`."""
        return self._base().reward_trunk(policy_path)

    def reward_base(self, policy_path: Path) -> Path:
        """`policy_path` itself."""
        return policy_path

    def lora(self, task: Task) -> LoraConfig | None:
        """None: all weights are trained."""
        return None

    def _base(self) -> Pretrained:
        verify(self.base, self.sha256)
        return Pretrained(
            path=str(self.base),
            revision=None,
            reward_path=None,
            reward_revision=None,
            chat_template=None,
            dtype="float32",
            attn_implementation=None,
            lora_rank=0,
            lora_alpha=1.0,
            lora_dropout=0.0,
            sft_learning_rate=self.sft_learning_rate,
            reward_learning_rate=self.reward_learning_rate,
            policy_learning_rate=self.policy_learning_rate,
        )


def verify(directory: Path, sha256: Mapping[str, str] = SHA256) -> None:
    """Raise UserError, naming the file, unless `directory` holds the base as it was shipped."""
    model = directory.name.removesuffix("_base")
    for name, wanted in sha256.items():
        path = directory / name
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as ex:
            raise UserError(f"model={model}: {path} cannot be read ({ex.strerror}); install rlx again") from ex
        if found != wanted:
            raise UserError(
                f"model={model}: {path} is not the file that was shipped (sha256 {found[:12]}..., not {wanted[:12]}...); "
                "install rlx again, or restore it from git"
            )
