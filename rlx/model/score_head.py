"""A reward model: a sequence classifier with one label and a `score` head from its checkpoint, never out of chance."""

import json
import logging
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from rlx.core.error import UserError
from rlx.model import attention
from rlx.model.adapter import read_adapter
from rlx.model.base_address import is_adapter
from rlx.model.checkpoint import Weights, loading, local_directory
from rlx.model.precision import in_full_precision
from rlx.model.readable import NOT_WHOLE, check_finite, named
from rlx.model.reward_trunk import HEAD
from rlx.model.shared_base import AdaptedRewardModel, load_adapted
from rlx.process import processes
from rlx.trunk.family import own
from rlx.trunk.packed import Packed

log = logging.getLogger(__name__)
RewardModel = PreTrainedModel | AdaptedRewardModel
OTHER_HEADS = ("v_head", "value_head", "reward_head", "rm_head", "regression_layer", "classifier", "score.")


def load_reward_model(name: str | Path, revision: str | None = None, key: str = "reward model") -> RewardModel:
    """The trained sequence classifier at `name` (directory or Hub id), frozen, in eval mode and in its own dtype. One that
    rlx trained as an adapter shares its base with the others in this process.

    Raises UserError where transformers would go on with a random head: the head is absent, has another name, more than
    one label, a bias that the architecture ignores, or weights that do not fit.
    """
    directory = local_directory(str(name), revision, key)
    if is_adapter(directory):
        return load_adapted(directory)
    check_score_head(directory, f"{key}={name}")
    with named(f"{key}={name}", NOT_WHOLE), loading(), attention.had(attention.chosen()):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            directory, num_labels=1, dtype="auto", output_loading_info=True, **attention.asked(attention.chosen())
        )
    if broken := sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]])):
        raise UserError(
            f"{key}={name}: {', '.join(broken[:3])} would be initialised at random; the checkpoint is not whole"
        )
    if unused := sorted(info["unexpected_keys"]):
        log.warning("%s=%s: %d tensors of the checkpoint are not used: %s ...", key, name, len(unused), unused[0])
    check_finite(model, f"{key}={name}")
    return model.requires_grad_(False).eval()


def head_weight(directory: Path) -> Tensor:
    """The score head (1, H) of the reward model in `directory`."""
    return read_adapter(directory).head if is_adapter(directory) else Weights(directory).tensor(HEAD)


def check_score_head(directory: Path, shown: str) -> None:
    """Raise UserError unless the checkpoint holds one finite scalar head that transformers will load."""
    with named(shown, "save the reward model again"):
        config = dict(json.loads((directory / "config.json").read_text(encoding="utf-8")))
        weights = Weights(directory)
        names = weights.names()
    if HEAD not in names:
        found = [name for name in names if any(part in name for part in OTHER_HEADS)]
        hint = f"it has {found[0]}: rename that to {HEAD}" if found else "it is a language model, not a reward model"
        raise UserError(f"{shown}: the checkpoint has no score head ({HEAD}); {hint}")
    if "score.bias" in names:
        raise UserError(f"{shown}: the score head has a bias, which transformers would leave out; save it without one")
    shape = weights.shape(HEAD)
    hidden_size = config.get("hidden_size", shape[-1])
    if shape[0] != 1 or len(config.get("id2label", "1")) != 1:
        raise UserError(f"{shown}: num_labels is {shape[0]}; a reward model has 1, as TRL's RewardTrainer makes it")
    if shape != (1, hidden_size):
        raise UserError(f"{shown}: {HEAD} has shape {shape}; expected (1, {hidden_size})")
    if not torch.isfinite(weights.tensor(HEAD)).all():
        raise UserError(f"{shown}: {HEAD} has values that are not finite; its training diverged")


def last_hidden(model: RewardModel, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The trunk's hidden state at each row's last unmasked token, (B, H)."""
    places = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    last_B = (places * mask_BT.long()).argmax(-1)
    trunk = model.base_model
    if own(trunk) and mask_BT[:, :1].all():
        return Packed.rows(ids_BT, mask_BT.bool(), places == last_B[:, None]).states(trunk)
    hidden = trunk(input_ids=ids_BT, attention_mask=mask_BT.long(), use_cache=False).last_hidden_state
    return hidden[torch.arange(len(hidden), device=hidden.device), last_B]


def score_tokens(model: RewardModel, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Raw scores (B,) in float32, read at the last *unmasked* token. transformers reads at the last token that is not
    the padding token, which a policy may have drawn. Under a policy's autocast or not, a score is the same: it is set
    against a mean and a spread that were measured without."""
    head = model.score
    assert isinstance(head, torch.nn.Linear)
    with torch.autocast(ids_BT.device.type, enabled=False):
        return in_full_precision(head, last_hidden(model, ids_BT, mask_BT)).squeeze(-1)


def pack(rows: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and bool mask (B, T) of rows of different lengths."""
    width = max(map(len, rows))
    ids_BT = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
    mask_BT = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return ids_BT, mask_BT


@torch.no_grad()
def score_rows(model: RewardModel, rows: list[list[int]], batch_size: int = 64) -> Tensor:
    """Raw scores (B,) on the CPU of prompt + completion ids. Rows of like length share a batch, to pad little."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
    scores_B = torch.empty(len(rows))
    for i in range(0, len(rows), batch_size):
        part = order[i : i + batch_size]
        ids_BT, mask_BT = pack([rows[j] for j in part], model.config.pad_token_id or 0)
        scores_B[torch.tensor(part)] = score_tokens(model, ids_BT.to(model.device), mask_BT.to(model.device)).cpu()
    return scores_B


def shared_scores(model: RewardModel, rows: list[list[int]], batch_size: int = 64) -> Tensor:
    """As `score_rows`, but each of several processes scores a part of `rows` and all get the whole. They must all call this
    with the same rows: not where a process has rows of its own, nor where the first one works alone."""
    if processes.size() == 1:
        return score_rows(model, rows, batch_size)
    # Dealt out by length, so that the long ones, which take longest, fall to all alike.
    dealt = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
    own_B = score_rows(model, [rows[i] for i in dealt[processes.rank() :: processes.size()]], batch_size)
    scores_B = torch.empty(len(rows))
    for rank, part_B in enumerate(processes.gathered(own_B)):
        scores_B[torch.tensor(dealt[rank :: processes.size()], dtype=torch.long)] = part_B
    return scores_B
