"""What processes send each other arrives as it was, and nothing but data can be sent."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx.core.world import Completion, Prompt
from rlx.process.message import packed, unpacked

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_data_of_any_shape_arrives_as_it_was(value):
    arrived = unpacked(packed(value))
    assert arrived == value and repr(arrived) == repr(value)  # 1 is not 1.0, a tuple is no list


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int32, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_arrive_bit_for_bit(dtype):
    sent = [torch.arange(-3, 3).to(dtype).view(2, 3).T, torch.zeros(0, 4, dtype=dtype), torch.tensor(1).to(dtype)]
    for ours, theirs in zip(sent, unpacked(packed(sent)), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs)


def test_tensors_that_share_memory_arrive_apart_and_whole():
    x = torch.arange(4.0)
    assert [y.tolist() for y in unpacked(packed([x, x, x[1:]]))] == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]


def test_arrays_and_numbers_of_numpy_arrive():
    array, number = unpacked(packed((np.array([[1.5, np.nan]]), np.float32(0.5))))
    assert (
        isinstance(array, np.ndarray) and array.dtype == np.float64 and array[0, 0] == 1.5 and math.isnan(array[0, 1])
    )
    assert number == 0.5


def test_texts_and_prompts_arrive_whatever_they_say():
    completions = [Completion("a\u2028b\x00\ud800 \U0001f600", True), Completion("", False)]
    prompt = Prompt("0", [{"role": "user", "content": '{"tensor": 0}'}])
    assert unpacked(packed((completions, prompt, {"tensor": 0}))) == (completions, prompt, {"tensor": 0})


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, b"bytes", torch.device("cpu")])
def test_what_is_no_data_is_refused_where_it_is_sent(value):
    with pytest.raises(TypeError, match="processes do not send each other a "):
        packed([value])


def test_a_pickle_is_not_read():
    with pytest.raises((ValueError, KeyError)):
        unpacked(pickle.dumps(print))
