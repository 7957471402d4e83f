import torch
from word_world import pretrained, save_model, small_causal_lm

from rlx.reference.frozen import Frozen


def test_it_is_the_first_sft_policy_and_learns_nothing(tmp_path):
    paths = [save_model(tmp_path / "0", seed=1)]
    reference = Frozen().combine(paths, pretrained(paths[0]))
    assert not reference.training and not any(p.requires_grad for p in reference.parameters())
    for name, tensor in small_causal_lm("llama", seed=1).state_dict().items():
        assert torch.equal(reference.state_dict()[name], tensor), name
