"""Traced passes against closed forms where there are any, and against a trace of all layers."""

import dataclasses

import pytest

from rlx.estimate.passes import Pass, Passes, _known
from rlx.estimate.size import Architecture, published


def shape(layers: int, kind: str = "llama", groups: int = 2) -> Architecture:
    numbers = dict(
        model_type=kind, vocab_size=64, hidden_size=16, intermediate_size=40, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=groups, head_dim=8, tie_word_embeddings=False,
    )  # fmt: skip
    return published(numbers)


def passes(layers: int = 5, rank: int = 0, autocast: bool = False, kind: str = "llama") -> Passes:
    return Passes(shape(layers, kind), "bfloat16" if autocast and rank else "float32", rank, "float32", autocast)


CALLS = {
    "learning": lambda p: p.learning(3, 4, 5, "shared", False, False),
    "recomputed": lambda p: p.learning(3, 4, 5, "shared", True, False),
    "drawing": lambda p: p.drawing(3, 40, 5, True),
    "fitting": lambda p: p.fitting(3, 9, False, "reward"),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_two_and_three_layers_take_tells_what_five_take(call, monkeypatch):
    _known().clear()
    found = CALLS[call](passes())
    _known().clear()
    monkeypatch.setattr(Pass, "layers", (5, 6))  # all five are traced
    assert CALLS[call](passes()) == found


def test_two_and_four_layers_tell_what_six_take_with_half_a_critic(monkeypatch):
    def learning() -> int:
        _known().clear()
        return passes(6).learning(3, 4, 5, "half", False, False)

    found = learning()
    monkeypatch.setattr(Pass, "layers", (6, 7))  # all six are traced
    assert learning() == found


def test_drawing_holds_keys_and_values_of_every_token_and_row_and_the_next_words():
    one, rows, tokens = passes(), 100, 256
    kept = rows * (tokens - 1) * one.shape.cached_per_token * 4  # the last token is drawn and not read
    words = rows * one.shape.vocabulary * (4 + 4 + 8 + 8)  # logits, their copy, probabilities and their sums in float64
    layer = kept / one.shape.layers  # while one layer's are put together, they stand twice
    assert kept <= one.drawing(rows, 128, 128, False) <= kept + layer + words + 0.1 * kept


def test_keys_and_values_grow_with_rows_and_length_and_shrink_with_fewer_heads():
    one = passes()
    assert one.drawing(64, 64, 64, False) == pytest.approx(2 * one.drawing(32, 64, 64, False), rel=0.01)
    assert one.drawing(64, 64, 192, False) > 1.8 * one.drawing(64, 64, 64, False)
    grouped = shape(5, groups=1)
    assert grouped.cached_per_token * 2 == one.shape.cached_per_token
    assert dataclasses.replace(one, shape=grouped).drawing(64, 4, 124, False) < 0.7 * one.drawing(64, 4, 124, False)


def test_a_layer_saves_what_its_equations_need_and_only_its_input_where_it_is_computed_again():
    """A layer of a Llama without biases saves for each token: of both norms the input, the normalised input and the output
    (width each) and one number; queries, keys, values and what attention makes of them (width each), with a number a head;
    four numbers of the feed-forward part's width; and a row of the mask, which the kernel keeps in float32."""
    rows, prompt, new, width, wide, heads = 8, 32, 32, 16, 40, 2
    tokens = prompt + new
    saved = 2 * (3 * width + 1) + 4 * width + heads + 4 * wide + tokens

    def more(recomputed: bool) -> int:
        """Bytes of one layer."""
        seven, six = (passes(number).learning(rows, prompt, new, "none", recomputed, False) for number in (7, 6))
        return seven - six

    assert more(False) == 4 * rows * tokens * saved
    assert more(True) == 4 * rows * tokens * width


@pytest.mark.parametrize(("kind", "rank", "autocast"), [("gemma", 2, True), ("gpt_neox", 0, True), ("qwen3", 2, False)])
def test_other_architectures_and_adapters_are_traced_too(kind, rank, autocast):
    one = passes(1, rank, autocast, kind)
    assert one.learning(2, 4, 4, "separate", False, True) > one.scoring(2, 4, 4, "separate", True) > 0
    assert one.judging(4, 8) > 0 and one.drawing(4, 4, 4, True) > 0 and one.fitting(2, 8, True, "policy") > 0
