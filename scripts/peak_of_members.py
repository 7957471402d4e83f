"""Peak memory and disk of M reward models: adapters on one base, and whole models, for M = 1 and 5, each in a process of
its own.

    python scripts/peak_of_members.py [--hidden 768 --layers 12] [--rank 16]

The models are random Llamas (101 million parameters by default, float32); what is measured does not depend on their values.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedTokenizerFast

from rlx.core.reward import Sources
from rlx.model.adapter import adapter_of
from rlx.model.base_address import address_of
from rlx.model.score_head import score_rows
from rlx.reward._ensemble import load_ensemble
from rlx.reward.ensemble_mean import ensemble_mean

VOCABULARY = 32_000


def made(folder: Path, sizes: argparse.Namespace, num: int, whole: bool) -> list[Path]:
    """Write a base and `num` reward models on it as rlx keeps them; return the directories of the reward models."""
    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")), eos_token="w1", pad_token="w2"
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=sizes.hidden, intermediate_size=8 * sizes.hidden // 3, num_labels=1,
        num_hidden_layers=sizes.layers, num_attention_heads=12, pad_token_id=2, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    base = folder / "base"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    paths = []
    for i in range(num):
        path = folder / f"member-{i}"
        model = AutoModelForSequenceClassification.from_pretrained(base)
        model.score.weight.data.normal_(generator=torch.Generator().manual_seed(i))
        model.config.score_mean, model.config.score_std = 0.0, 1.0
        if whole:
            model.save_pretrained(path)
        else:
            lora = LoraConfig(r=sizes.rank, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"])
            path.mkdir()
            adapter_of(get_peft_model(model, lora)).write(path)
            model.config.save_pretrained(path)
            address_of(base, folder, "float32").write(path)
        tokenizer.save_pretrained(path)
        ids = torch.randint(3, VOCABULARY, (8, 32), generator=torch.Generator().manual_seed(7))
        save_file({"ids": ids, "mask": torch.ones_like(ids).bool()}, path / "reference_set.safetensors")
        paths.append(path)
    return paths


def bytes_of(path: Path) -> int:
    """What the files of a directory hold."""
    return sum(file.stat().st_size for file in path.iterdir())


def measure(paths: list[Path]) -> None:
    """Load the mean ensemble of `paths`, score 64 texts of 128 tokens, print the peak of this process in bytes."""
    not_needed: Any = None
    ensemble = load_ensemble(Sources(paths, not_needed, not_needed, not_needed), ensemble_mean)
    rows = torch.randint(3, VOCABULARY, (64, 128)).tolist()
    for member in ensemble.members:
        score_rows(member.model, rows, 16)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--measure", nargs="+", type=Path, help=argparse.SUPPRESS)
    sizes = parser.parse_args()
    if sizes.measure:
        return measure(sizes.measure)
    peaks: dict[str, list[int]] = {}
    for kind in ("adapters", "whole models"):
        with tempfile.TemporaryDirectory() as name:
            paths = made(Path(name), sizes, 5, kind == "whole models")
            base = bytes_of(Path(name) / "base")
            for num in (1, 5):
                words = [sys.executable, __file__, "--measure", *map(str, paths[:num])]
                found = subprocess.run(words, check=True, capture_output=True, text=True)
                peaks.setdefault(kind, []).append(int(json.loads(found.stdout.splitlines()[-1])))
            one, five = peaks[kind]
            print(
                f"{kind}: base {base / 1e6:,.0f} MB on disk, a member {bytes_of(paths[0]) / base:.1%} of it; peak memory "
                f"with 1 member {one / 1e6:,.0f} MB, with 5 {five / 1e6:,.0f} MB, {five / one:.2f} times"
            )


if __name__ == "__main__":
    main()
