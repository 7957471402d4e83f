"""decoder=proxy: the same alpha for every expert at every token."""

import torch

from rlx.decoder.proxy import Proxy
from rlx.model.fused import fused_logits


def test_alpha_1_adds_the_whole_change_of_every_expert():
    generator = torch.Generator().manual_seed(0)
    large, experts, bases = (torch.randn(*shape, generator=generator) for shape in ((6, 9), (2, 6, 9), (2, 6, 9)))
    alphas = Proxy("start", ["a", "b"], 1.0).coefficients(large, experts, bases)
    assert alphas.shape == (2, 6) and (alphas == 1).all()
    assert torch.allclose(fused_logits(large, experts, bases, alphas), large + (experts - bases).sum(0), atol=1e-6)


def test_alpha_is_a_setting():
    large, experts = torch.zeros(3, 4), torch.ones(1, 3, 4)
    assert (Proxy("start", ["a"], 0.5).coefficients(large, experts, experts) == 0.5).all()
