"""Scores from packed rows beside those from padded ones."""

import pytest
import torch
from peft import LoraConfig
from transformers import LlamaForSequenceClassification, Qwen2ForSequenceClassification
from trunks import small_lm

from rlx.model import score_head
from rlx.model.adapter import Adapter
from rlx.model.score_head import score_rows
from rlx.model.shared_base import SharedBase

ROWS = [[2, 3, 4], [5] * 9, [7], [8, 9, 1, 0, 2], list(range(2, 22))]


def classifier(kind: str):
    lm = small_lm(kind, initializer_range=0.15, num_labels=1)
    maker = Qwen2ForSequenceClassification if kind == "qwen2" else LlamaForSequenceClassification
    model = maker(lm.config).eval().requires_grad_(False)
    model.model.load_state_dict(lm.model.state_dict())
    return model


def both(model, monkeypatch):
    one = score_rows(model, ROWS, 3)
    with monkeypatch.context() as patch:
        patch.setattr(score_head, "own", lambda trunk: False)
        return one, score_rows(model, ROWS, 3)


@pytest.mark.parametrize("kind", ["llama", "grouped", "qwen2"])
def test_scores_are_those_of_padded_rows(kind, monkeypatch):
    model = classifier(kind)
    assert score_head.own(model.base_model)
    one, two = both(model, monkeypatch)
    assert (one - two).abs().max() < 1e-6 and one.std() > 0.01


def test_members_on_one_base_score_with_their_own_adapters(monkeypatch):
    base = SharedBase(classifier("llama"))
    generator = torch.Generator().manual_seed(0)

    def member(scale):
        names = [name for name, _ in base.model.named_modules() if name.endswith(("q_proj", "down_proj"))]
        size = {"q_proj": (32, 32), "down_proj": (32, 48)}
        matrices = {}
        for name in names:
            out, into = size[name.rpartition(".")[2]]
            matrices[name] = (
                torch.randn(2, into, generator=generator) * scale,
                torch.randn(out, 2, generator=generator),
            )
        config = LoraConfig(r=2, lora_alpha=2, target_modules=names)
        return base.adapted(Adapter(config, matrices, torch.randn(1, 32, generator=generator)), base.model.config)

    first, second = member(0.1), member(0.2)
    found = [both(model, monkeypatch) for model in (first, second, first)]
    assert all((one - two).abs().max() < 1e-5 for one, two in found)
    assert torch.equal(found[0][0], found[2][0]) and not torch.allclose(found[0][0], found[1][0], atol=0.01)
