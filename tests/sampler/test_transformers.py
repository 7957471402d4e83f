import pytest
import torch

from rlx.sampler import transformers
from rlx.sampler.transformers import Transformers, inverse_cdf, length_batches

PROMPTS = torch.tensor([[0, 3, 4], [5, 6, 7], [0, 0, 8], [9, 3, 5]])
MASK = PROMPTS != 0
SAMPLER = Transformers(max_new_tokens=6, temperature=1.0, batch_size=4)


def test_draws_follow_the_softmax():
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5])
    uniforms = torch.arange(1, 100001, dtype=torch.float64) / 100000
    shares = torch.bincount(inverse_cdf(logits.expand(100000, 4), uniforms), minlength=4) / 100000
    torch.testing.assert_close(shares, logits.softmax(-1), atol=2e-5, rtol=0)


def test_a_token_of_probability_zero_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]]).expand(3, 3)
    assert inverse_cdf(logits, torch.tensor([1e-300, 0.5, 1.0], dtype=torch.float64)).tolist() == [1, 1, 1]


def test_a_rows_draw_depends_on_its_seed_and_not_on_its_batch(tiny_llama):
    together = SAMPLER.draw(tiny_llama, PROMPTS, MASK, [11, 12, 13, 14])
    torch.manual_seed(99)
    apart = Transformers(max_new_tokens=6, temperature=1.0, batch_size=1).draw(
        tiny_llama, PROMPTS, MASK, [11, 12, 13, 14]
    )
    assert torch.equal(together.ids_BT, apart.ids_BT)
    other = SAMPLER.draw(tiny_llama, PROMPTS, MASK, [21, 22, 23, 24])
    assert not torch.equal(together.ids_BT, other.ids_BT)


def test_prompts_of_like_length_are_drawn_together_and_rows_of_one_length_as_they_come():
    assert [rows.tolist() for rows in length_batches(torch.tensor([9, 2, 5, 2, 9, 5, 2]), 3)] == [
        [1, 3, 6],
        [0, 2, 5],
        [4],
    ]
    assert [rows.tolist() for rows in length_batches(torch.tensor([7, 7, 7, 7, 7]), 2)] == [[0, 1], [2, 3], [4]]
    assert [rows.tolist() for rows in length_batches(torch.tensor([9, 2, 5]), 3)] == [[0, 1, 2]]  # nothing to sort
    assert list(length_batches(torch.tensor([]), 3)) == []


@pytest.mark.parametrize(("by_generate", "shapes"), [(True, [(2, 2), (2, 3)]), (False, [(3,), (6,)])])
def test_a_batch_is_no_wider_than_its_longest_prompt(by_generate, shapes, tiny_llama, monkeypatch):
    """Rows 2 and 0 have one token and two, rows 1 and 3 have three; the loop of rlx reads no padding at all."""
    if by_generate:
        monkeypatch.setattr(transformers, "own", lambda trunk: False)
    one, found = Transformers(max_new_tokens=1, temperature=1.0, batch_size=2), []
    one.draw(tiny_llama, PROMPTS, MASK, [11, 12, 13, 14])  # once, for the look at what kind of model it is
    tiny_llama.model.embed_tokens.register_forward_hook(lambda layer, inputs, out: found.append(inputs[0].shape))
    one.draw(tiny_llama, PROMPTS, MASK, [11, 12, 13, 14])
    assert found == shapes


def test_mask_covers_the_end_of_sequence_and_nothing_after_it(tiny_llama):
    with torch.no_grad():
        tiny_llama.lm_head.weight[1] += 0.6  # ends often
    drawn = Transformers(max_new_tokens=12, temperature=1.0, batch_size=64).draw(
        tiny_llama, PROMPTS.repeat(16, 1), MASK.repeat(16, 1), list(range(64))
    )
    assert 0 < drawn.ended_B.sum() < 64
    for ids, mask, ended in zip(drawn.ids_BT.tolist(), drawn.mask_BT.tolist(), drawn.ended_B.tolist(), strict=True):
        length = sum(mask)
        assert mask == [True] * length + [False] * (12 - length)
        assert (ids[length - 1] == 1) == ended
        assert 1 not in ids[: length - 1] and set(ids[length:]) <= {0}


def test_frequencies_of_first_tokens_match_the_policys_probabilities(tiny_llama):
    one = Transformers(max_new_tokens=1, temperature=0.7, batch_size=4000)
    drawn = one.draw(tiny_llama, PROMPTS[1:2].repeat(4000, 1), MASK[1:2].repeat(4000, 1), list(range(4000)))
    with torch.no_grad():
        wanted = (tiny_llama(PROMPTS[1:2]).logits[0, -1] / 0.7).softmax(-1)
    shares = torch.bincount(drawn.ids_BT[:, 0], minlength=16) / 4000
    assert (shares - wanted).abs().max() < 5 * (0.25 / 4000) ** 0.5
