import pytest
import torch
from safetensors.torch import load_file, save_file
from word_world import ARCHITECTURES, pretrained, save_model, small_causal_lm

from rlx.core.error import UserError
from rlx.model.average import average_weights
from rlx.reference.frozen import Frozen
from rlx.reference.soup import Soup, soup_weights

IDS = torch.tensor([[1, 4, 10, 8, 10, 2]])


@pytest.fixture
def policies(tmp_path):
    return [save_model(tmp_path / str(i), seed=i) for i in range(3)]


def soup(paths, alpha):
    return average_weights(paths, soup_weights(len(paths), alpha))


def same(a, b) -> bool:
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_alpha_is_the_first_policys_share_and_the_others_divide_the_rest():
    assert soup_weights(2, 0.25) == [0.25, 0.75]
    assert soup_weights(3, 0.5) == [0.5, 0.25, 0.25]
    assert soup_weights(4, None) == [0.25] * 4
    assert soup_weights(1, 1.0) == soup_weights(1, None) == [1.0]


def test_alpha_one_is_the_first_policy_and_nought_the_second_bit_for_bit(policies):
    assert same(soup(policies[:2], 1.0), small_causal_lm("llama", seed=0).state_dict())
    assert same(soup(policies[:2], 0.0), small_causal_lm("llama", seed=1).state_dict())


def test_half_and_half_is_symmetric(policies):
    assert same(soup(policies[:2], 0.5), soup(policies[1::-1], 0.5))


def test_equal_weights_are_the_mean(policies):
    weights = [small_causal_lm("llama", seed=i).state_dict() for i in range(3)]
    for name, tensor in soup(policies, None).items():
        torch.testing.assert_close(tensor, sum(w[name] for w in weights) / 3)
    assert same(soup(policies[:2], None), soup(policies[:2], 0.5))


def test_a_soup_of_one_policy_with_itself_is_that_policy(policies):
    assert same(soup([policies[0], policies[0]], 0.3), small_causal_lm("llama", seed=0).state_dict())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_reference_is_frozen_and_differs_from_the_start(tmp_path, architecture):
    paths = [save_model(tmp_path / str(i), architecture, seed=i) for i in range(2)]
    model = pretrained(paths[0])
    reference = Soup(2, None).combine(paths, model)
    assert not reference.training and not any(p.requires_grad for p in reference.parameters())
    start = Frozen().combine(paths[:1], model)
    logps = [torch.log_softmax(m(IDS).logits, -1) for m in (start, reference)]
    divergence = (logps[0].exp() * (logps[0] - logps[1])).sum(-1)
    assert (divergence > 0).all()  # KL(policy || soup) is not 0 at step 0
    again = torch.log_softmax(Soup(2, None).combine(paths, model)(IDS).logits, -1)
    assert torch.equal(logps[1], again)  # and exactly 0 where policy and reference are the same soup


def test_averaging_the_output_layer_alone_averages_the_logits(tmp_path):
    # Logits linear in the weights that differ: log pi_soup = alpha log pi_1 + (1 - alpha) log pi_2 - log Z.
    one, other = small_causal_lm("llama"), small_causal_lm("llama")
    with torch.no_grad():
        other.lm_head.weight.normal_(generator=torch.Generator().manual_seed(5))  # pyright: ignore
    paths = [save_model(tmp_path / str(i)) for i in range(2)]
    one.save_pretrained(paths[0])
    other.save_pretrained(paths[1])
    reference = Soup(2, 0.3).combine(paths, pretrained(paths[0]))
    logps = [torch.log_softmax(m.eval()(IDS).logits, -1) for m in (one, other, reference)]
    torch.testing.assert_close(torch.log_softmax(0.3 * logps[0] + 0.7 * logps[1], -1), logps[2])


def test_policies_of_different_sizes_are_refused(tmp_path):
    paths = [save_model(tmp_path / "llama"), save_model(tmp_path / "mistral", "mistral")]
    with pytest.raises(UserError, match="cannot be averaged"):
        Soup(2, None).combine(paths, pretrained(paths[0]))


def test_a_policy_that_diverged_is_refused_with_its_place_and_the_tensor(policies):
    file = policies[1] / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"model 1 .*model\.norm\.weight holds NaN.*{policies[1]}"):
        Soup(3, None).combine(policies, pretrained(policies[0]))
