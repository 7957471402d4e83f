"""A fused policy draws from the distribution that it says it has."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlx.decoder.fusion import Fusion
from rlx.engine.forward import logprobs_of
from rlx.model.actor_critic import with_critic
from rlx.model.fused import FusedPolicy
from rlx.sampler.transformers import Transformers

PAD, EOS, VOCABULARY, PROMPT, LENGTH = 0, 1, 23, 7, 12


def model(seed: int, width: int = 16, vocabulary: int = VOCABULARY) -> LlamaForCausalLM:
    """A policy that is far from uniform."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
        bos_token_id=None,
        pad_token_id=PAD,
        eos_token_id=EOS,
    )
    torch.manual_seed(seed)
    return with_critic(LlamaForCausalLM(config).eval(), "none")


def prompts(num: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(2, VOCABULARY, (num, PROMPT), generator=generator)
    lengths = torch.randint(2, PROMPT + 1, (num,), generator=generator)
    mask = torch.arange(PROMPT) >= PROMPT - lengths[:, None]
    return ids * mask, mask


LARGE, EXPERT, BASE = model(0, 32), model(1), model(2)
MATCHED = Fusion("start", ("run",), 0.0, 2.0, 0.1).coefficients


def constant(alpha: float):
    return lambda large, experts, bases: large.new_full(experts.shape[:2], alpha)


def drawn(policy, temperature: float = 1.0, batch_size: int = 4):
    ids, mask = prompts()
    return Transformers(LENGTH, temperature, batch_size).draw(policy, ids, mask, range(10, 20))


def said(policy, completions, temperature: float = 1.0):
    return logprobs_of(policy, *prompts(), completions.ids_BT, completions.mask_BT, temperature, 3, entropy=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_alpha_0_is_the_large_policy_token_for_token(temperature):
    fused = FusedPolicy(LARGE, [EXPERT], [BASE], constant(0.0))
    own, plain = drawn(fused, temperature), drawn(LARGE, temperature)
    assert torch.equal(own.ids_BT, plain.ids_BT) and torch.equal(own.mask_BT, plain.mask_BT)
    assert not own.ended_B.all() and own.ended_B.any()
    one, other = said(fused, own, temperature), said(LARGE, own, temperature)
    assert torch.allclose(one.logps_BT, other.logps_BT, atol=1e-5)
    assert torch.allclose(one.entropies_BT, other.entropies_BT, atol=1e-5)
    assert one.values_BT is None is other.values_BT


@pytest.mark.parametrize("coefficients", [constant(1.0), MATCHED])
def test_a_large_policy_that_is_the_base_writes_the_experts_text(coefficients):
    fused = FusedPolicy(BASE, [EXPERT], [BASE], coefficients)
    own = drawn(fused)
    assert torch.equal(own.ids_BT, drawn(EXPERT).ids_BT)
    assert torch.allclose(said(fused, own).logps_BT, said(EXPERT, own).logps_BT, atol=1e-5)


def test_the_fused_distribution_is_the_one_by_hand():
    fused = FusedPolicy(LARGE, [EXPERT], [BASE], constant(0.7))
    own = drawn(fused)
    ids, mask = prompts()
    row = 2
    text = torch.cat([ids[row][mask[row]], own.ids_BT[row][own.mask_BT[row]]])[None]
    large, expert, base = (m(input_ids=text).logits[0].double() for m in (LARGE, EXPERT, BASE))
    logps = ((large + 0.7 * (expert - base)) / 0.8).log_softmax(-1)
    num = int(own.mask_BT[row].sum())
    by_hand = logps[-num - 1 : -1].gather(-1, text[0, -num:, None]).squeeze(-1)
    found = said(fused, own, 0.8)
    assert torch.allclose(found.logps_BT[row, :num].double(), by_hand, atol=1e-5)
    entropies = -(logps.exp() * logps).sum(-1)[-num - 1 : -1]
    assert torch.allclose(found.entropies_BT[row, :num].double(), entropies, atol=1e-5)


def test_tokens_are_drawn_from_what_it_says_it_has():
    """With caches, left padding and rows that end at different times, each token drawn is the one whose cumulative
    probability under the log-probabilities without any cache reaches the row's uniform number."""
    fused = FusedPolicy(LARGE, [EXPERT, model(5)], [BASE, BASE], MATCHED)
    assert len(fused.small) == 3  # the base that both share runs once
    ids, mask = prompts()
    own = drawn(fused)
    whole = torch.cat([ids, own.ids_BT], -1)
    whole_mask = torch.cat([mask, own.mask_BT], -1)
    uniforms = torch.stack(
        [1 - torch.rand(LENGTH, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in range(10, 20)]
    )
    by_token = []
    for token in range(VOCABULARY):
        others = whole.clone()
        others[:, PROMPT:] = token
        # The candidate at place t needs the true text before it: score each place in a text that is true up to it.
        for t in range(LENGTH):
            text = whole[:, : PROMPT + t + 1].clone()
            text[:, -1] = token
            seen = whole_mask[:, : PROMPT + t + 1].long().clone()
            seen[:, -1] = 1
            by_token.append(fused(input_ids=text, attention_mask=seen, completion_length=1)["logps"][:, 0])
    logps_VTB = torch.stack(by_token).view(VOCABULARY, LENGTH, 10)
    cdf_VTB = logps_VTB.double().exp().cumsum(0)
    places = (cdf_VTB < uniforms.T * cdf_VTB[-1]).sum(0).T  # (B, T)
    assert torch.equal(places[own.mask_BT], own.ids_BT[own.mask_BT])


def test_alphas_along_a_text_have_an_expert_in_front():
    fused = FusedPolicy(LARGE, [EXPERT], [BASE], MATCHED)
    ids, mask = prompts()
    own = drawn(fused)
    inputs = {
        "input_ids": torch.cat([ids, own.ids_BT], -1),
        "attention_mask": torch.cat([mask, own.mask_BT], -1).long(),
    }
    alphas = fused(**inputs, completion_length=LENGTH, alphas=True)["alphas"]
    assert alphas.shape == (1, 10, LENGTH) and alphas.unique().numel() > 3


def test_ids_beyond_the_shortest_vocabulary_are_never_drawn():
    wide = model(0, 32, VOCABULARY + 9)
    with torch.no_grad():
        wide.lm_head.weight[VOCABULARY:] = 10 * wide.lm_head.weight[2]
    fused = FusedPolicy(wide, [EXPERT], [BASE], constant(1.0))
    own = drawn(fused)
    assert own.ids_BT.max() < VOCABULARY and said(fused, own).logps_BT.isfinite().all()
    assert drawn(wide).ids_BT.max() >= VOCABULARY
