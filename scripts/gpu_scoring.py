"""Scoring by reward models for `gpu_check.py`: whole ones, and adapters on one base, with their mean (WARM)."""

import time
from typing import Any

Told = tuple[str, str, bool | None]  # a row of the table
RANK, SCALE = 16, 2.0  # lora_alpha / rank
# Of scores with a spread near 1, in fp32; a GPU sums in another order than the merged weights do.
MERGED_MOST = 1e-3


def whole(models: list[Any], ids: Any, prompt_tokens: int) -> list[Told]:
    """Rows of the table: the texts `ids` (B, T) scored by all of `models`, and by one, as which their mean would score."""
    from rlx.reward._ensemble import Ensemble, LoadedMember

    prompts, completions = ids[:, :prompt_tokens], ids[:, prompt_tokens:]
    rates = {}
    for name, own in ((f"{len(models)} members", models), ("their mean (WARM)", models[:1])):
        scorer = Ensemble([LoadedMember(model, 0.0, 1.0, [], None) for model in own], lambda x: x.mean(0), 0.0, 1.0)
        for turn in range(2):  # the first one warms up
            start = time.perf_counter()
            scorer.member_scores(prompts, prompts > 0, completions, completions > 0)
            rates[name] = len(ids) / (time.perf_counter() - start) if turn else 0.0
    all_of_them, one = rates.values()
    told: list[Told] = [(f"scoring by {name}", f"{rate:,.1f} completions/s", None) for name, rate in rates.items()]
    return [*told, (f"WARM's gain over {len(models)} members", f"{one / all_of_them:.1f}x", None)]


def random_adapter(model: Any, seed: int) -> Any:
    """An adapter of every linear layer but the head whose product is a hundredth of the weights."""
    import torch
    from peft import LoraConfig

    from rlx.model.adapter import Adapter

    generator = torch.Generator().manual_seed(seed)
    matrices = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "score":
            a = torch.randn(RANK, layer.in_features, generator=generator) / layer.in_features**0.5
            b = torch.randn(layer.out_features, RANK, generator=generator) * 0.002
            matrices[name] = (a, b)
    head = torch.randn(1, model.config.hidden_size, generator=generator) / model.config.hidden_size**0.5
    config = LoraConfig(r=RANK, lora_alpha=int(RANK * SCALE), target_modules="all-linear", task_type="SEQ_CLS")
    return Adapter(config, matrices, head)


def adapted(model: Any, ids: Any, device: str, num: int = 5) -> list[Told]:
    """Rows of the table: `num` reward models on `model`, a sequence classifier in bfloat16, score the texts `ids` (B, T)."""
    import torch

    from rlx.model.adapter import concatenated
    from rlx.model.score_head import score_rows
    from rlx.model.shared_base import SharedBase

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    config, count = model.config, sum(p.numel() for p in model.parameters())
    adapters = [random_adapter(model, seed) for seed in range(num)]
    base = SharedBase(model.to(device))
    members = [base.adapted(adapter, config) for adapter in adapters]
    members.append(base.adapted(concatenated(adapters, [1 / num] * num), config))
    rows, rates = ids.tolist(), {}
    for name, own in ((f"{num} members", members[:num]), ("their mean (WARM)", members[num:])):
        for turn in range(2):  # the first one warms up
            start = time.perf_counter()
            for member in own:
                score_rows(member, rows)
            rates[name] = len(rows) / (time.perf_counter() - start) if turn else 0.0
    told: list[Told] = [
        (f"{count:,} parameters, adapters on one base: scoring by {name}", f"{rate:,.1f} completions/s", None)
        for name, rate in rates.items()
    ]
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 1e9
        whole = 2 * count * (num + 1) / 1e9
        told.append((f"their peak memory; {num + 1} whole copies", f"{peak:.1f} GB; {whole:.1f} GB", None))
    return told


def against_merged(model: Any, ids: Any, device: str) -> list[Told]:
    """A row of the table: scores of an adapter on its base against those of the merged weights, in fp32."""
    import copy

    import torch

    from rlx.model.score_head import score_rows
    from rlx.model.shared_base import SharedBase

    adapter, merged = random_adapter(model, 7), copy.deepcopy(model).to(device).eval()
    with torch.no_grad():
        for name, (a, b) in adapter.matrices.items():
            merged.get_submodule(name).weight += SCALE * (b @ a).to(device)
        merged.score.weight.copy_(adapter.head)
    one = score_rows(SharedBase(model.to(device)).adapted(adapter, model.config), ids.tolist())
    most = float((one - score_rows(merged, ids.tolist())).abs().max())
    return [("scores of an adapter against the merged weights, fp32, most", f"{most:.1e}", most <= MERGED_MOST)]
