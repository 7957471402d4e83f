import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification
from word_world import save_model, word_tokenizer

from rlx.model.score_head import pack, score_rows

REFERENCE = [[1, 4, 10, 8, 2], [1, 4, 11, 9, 9, 2], [1, 4, 12, 2], [1, 5, 10, 8, 8]]


@pytest.fixture
def member(tmp_path):
    """member(i, constant, scale): the directory of a reward model of its own, every score of it moved and stretched."""

    def make(seed: int, constant: float = 0.0, scale: float = 1.0, name: str | None = None):
        directory = tmp_path / (name or f"member-{seed}-{constant}-{scale}")
        base = save_model(tmp_path / f"base-{directory.name}", seed=seed)
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=0)
        with torch.no_grad():
            model.score.weight.normal_().mul_(scale)
        raw = score_rows(model.eval(), REFERENCE).double() + constant
        model.config.score_mean, model.config.score_std = float(raw.mean()), float(raw.std(correction=0))
        model.save_pretrained(directory)
        word_tokenizer().save_pretrained(directory)
        ids, mask = pack(REFERENCE, 0)
        save_file({"ids": ids, "mask": mask}, directory / "reference_set.safetensors")
        return directory

    return make


@pytest.fixture
def reference_rows():
    """The reference set as a sampler would leave it, prompts of two tokens; for `member_scores`."""
    width = max(len(row) for row in REFERENCE) - 2
    prompts = torch.tensor([row[:2] for row in REFERENCE])
    ids = torch.tensor([row[2:] + [0] * (width - len(row) + 2) for row in REFERENCE])
    return prompts, torch.ones_like(prompts).bool(), ids, ids != 0


@pytest.fixture
def drawn():
    """Three prompts padded on the left, three completions padded on the right, as a sampler leaves them."""
    prompt_ids = torch.tensor([[1, 4, 10], [0, 1, 5], [1, 4, 11]])
    ids = torch.tensor([[8, 10, 2, 0], [9, 2, 0, 0], [8, 8, 8, 9]])
    return prompt_ids, prompt_ids != 0, ids, torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
