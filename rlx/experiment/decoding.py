"""A policy with the change that training made to smaller ones: the experts of `decoder=proxy` and `decoder=fusion`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from rlx.core.build import build
from rlx.core.decoder import Decoder
from rlx.core.sampler import Drawn, Sampler
from rlx.core.world import Completion, Judge, Prompt
from rlx.engine.forward import inputs_of
from rlx.experiment.cell import Cell, cell_of
from rlx.experiment.loading import check_tokens, load_policy
from rlx.model import attention
from rlx.model.checkpoint import content_hash
from rlx.model.fused import FusedPolicy
from rlx.run.record import load_record
from rlx.run.state import load_config

log = logging.getLogger(__name__)


def decoder_of(node: Mapping[str, Any]) -> Decoder:
    """The decoder that a checked node describes."""
    return build({key: value for key, value in node.items() if key != "choice"})


def fused(large: PreTrainedModel, decoder: Decoder, cell: Cell, config: Mapping[str, Any]) -> Any:
    """`large` itself, or with the experts of `decoder`, each beside the SFT policy that its run started from.

    Raises UserError where an expert or its base has other tokens than the policies of `cell`.
    """
    if not decoder.experts:
        return large
    tokenizer = cell.model.tokenizer()
    for word in decoder.experts:
        check_tokens(f"decoder.experts: {Path(word).name}", Path(word) / "model", tokenizer)
    experts, bases, loaded = [], [], {}
    for word in decoder.experts:
        run_dir = Path(word)
        with attention.kept():
            own = cell_of({**load_config(run_dir / "config.yaml"), "compute": config["compute"]})
        base_dir = own.store.fetch(own.policies()[0], own.settings.data_seed)
        key = f"decoder.experts: {run_dir.name}"
        experts.append(load_policy(own.model, run_dir / "model", key))
        if (content := content_hash(base_dir)) not in loaded:
            loaded[content] = load_policy(own.model, base_dir, f"{key}, its start")
        bases.append(loaded[content])
    policy = FusedPolicy(large, experts, bases, decoder.coefficients)
    sizes = ", ".join(f"{sum(p.numel() for p in model.parameters()) / 1e6:.3g}" for model in (large, *policy.small))
    log.info("experts: %d, their bases: %d; M parameters of all models: %s", len(experts), len(loaded), sizes)
    return policy


@dataclass
class Recording:
    """A sampler that keeps what it drew last."""

    sampler: Sampler
    prompt_ids_BP: Tensor | None = None
    prompt_mask_BP: Tensor | None = None
    drawn: Drawn | None = None

    @property
    def max_new_tokens(self) -> int:
        return self.sampler.max_new_tokens

    @property
    def temperature(self) -> float:
        return self.sampler.temperature

    @property
    def importance_clip(self) -> float | None:
        return self.sampler.importance_clip

    def check(self) -> None:
        self.sampler.check()

    def draw(self, policy: Any, prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, seeds: Sequence[int]) -> Drawn:
        """As the sampler itself draws."""
        self.prompt_ids_BP, self.prompt_mask_BP = prompt_ids_BP, prompt_mask_BP
        self.drawn = self.sampler.draw(policy, prompt_ids_BP, prompt_mask_BP, seeds)
        return self.drawn


def alphas_of(policy: FusedPolicy, recording: Recording, rows: int) -> list[list[list[float]]]:
    """alpha at every token of every completion that was drawn, for each expert: B lists of T lists of tokens."""
    drawn = recording.drawn
    assert drawn is not None and recording.prompt_ids_BP is not None and recording.prompt_mask_BP is not None
    found: list[list[list[float]]] = []
    for part in torch.arange(len(drawn.ids_BT)).split(rows):
        length = max(1, int(drawn.mask_BT[part].sum(-1).max()))
        texts = (recording.prompt_ids_BP[part], recording.prompt_mask_BP[part])
        inputs = inputs_of(*texts, drawn.ids_BT[part, :length], drawn.mask_BT[part, :length])
        inputs = {name: x.to(policy.device) for name, x in inputs.items()}
        alphas_EBT = policy(**inputs, completion_length=length, alphas=True)["alphas"].double().cpu()
        for i, row in enumerate(part):
            num = int(drawn.mask_BT[row].sum())
            found.append([[round(x, 6) for x in alphas_EBT[e, i, :num].tolist()] for e in range(len(alphas_EBT))])
    return found


def alpha_metrics(alphas: Sequence[Sequence[Sequence[float]]]) -> dict[str, float]:
    """decoder/alpha, the mean over tokens of the sum over experts, and decoder/alpha_<i> of each of several."""
    means = [float(np.mean(np.concatenate([row[e] for row in alphas]))) for e in range(len(alphas[0]))]
    each = {f"decoder/alpha_{e}": mean for e, mean in enumerate(means)} if len(means) > 1 else {}
    return {"decoder/alpha": sum(means), **each}


def gold_of_run(run_dir: Path, prompts: Sequence[Prompt], judge: Judge) -> tuple[list[float], list[int]]:
    """What `judge` says of the completions that a run kept of its final measurement, and the places among `prompts` of
    those that it kept. Both are empty where it kept none."""
    rows = load_record(run_dir).final_samples()
    places = [i for i, prompt in enumerate(prompts) if prompt.id in rows]
    kept = [rows[prompts[i].id] for i in places]
    texts = [Completion(row["completion"], row["ended"]) for row in kept]
    return judge.score([prompts[i] for i in places], texts) if places else [], places
