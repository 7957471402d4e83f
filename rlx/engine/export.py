"""The trained policy as people use it: a plain `from_pretrained` directory, without critic or adapters."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlx.model.actor_critic import without_critic
from rlx.model.precision import cast
from rlx.process import atomic


def export_policy(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path, card: str, dtype: torch.dtype
) -> None:
    """Write model (in `dtype`), tokenizer and README.md to `path`; the directory appears whole or not at all."""
    # In copies of the weights: reward models may use the policy's frozen ones.
    plain = policy.merge_and_unload(safe_merge=True) if isinstance(policy, PeftModel) else policy  # pyright: ignore[reportCallIssue]
    cast(plain, dtype)
    with atomic.folder(path) as part:
        plain.save_pretrained(part, state_dict=without_critic(plain.state_dict()))
        tokenizer.save_pretrained(part)
        (part / "README.md").write_text(card, encoding="utf-8")
