"""decoder=plain: no expert, no coefficient."""

import torch

from rlx.decoder.plain import Plain
from rlx.model.fused import fused_logits


def test_the_policy_is_left_alone():
    large, none = torch.randn(3, 4), torch.zeros(0, 3, 4)
    alphas = Plain("model").coefficients(large, none, none)
    assert alphas.shape == (0, 3) and Plain("model").experts == ()
    assert fused_logits(large, none, none, alphas) is large
