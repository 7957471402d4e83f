"""Bytes of a pass, counted by hand for linear layers of width 10 and 20 without biases, in float32."""

from itertools import pairwise

import torch
from torch import nn

from rlx.estimate.trace import peak


def layers(*widths: int) -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(widths)))


def test_without_gradients_an_input_is_let_go_when_nothing_refers_to_it_any_more():
    def run(model):
        model(torch.zeros(4, 10))  # 160 bytes, which the caller holds

    assert peak(layers(10, 20), run, gradients=False) == 160 + 320  # and 4 x 20 numbers out of it
    assert (
        peak(layers(10, 20, 20, 20), run, gradients=False) == 160 + 320 + 320
    )  # the first is gone when the third is made


def test_activations_are_kept_for_the_backward_pass_and_the_gradient_of_a_weight_is_not_counted_once_it_is_whole():
    def forward(model):
        return model(torch.zeros(4, 10))

    # without a backward pass: the input and the outputs of both layers
    assert peak(layers(10, 20, 20), forward) == 160 + 320 + 320

    def both(model):
        forward(model).sum().backward()

    # At the last layer's gradient: the input, its input (320), the sum (4) and the gradient of the sum (4); its output is
    # gone. The weight's gradient is 20 x 20 numbers, and with it stands the gradient of the layer's input (320).
    assert peak(layers(10, 20, 20), both) == 160 + 320 + 4 + 4 + 1600 + 320


def test_a_frozen_layer_keeps_no_activation():
    def run(model):
        model[0].requires_grad_(False)
        model(torch.zeros(4, 10))

    assert peak(layers(10, 20, 20, 20), run) == 160 + 3 * 320
    frozen = layers(10, 20, 20, 20).requires_grad_(False)
    assert peak(frozen, lambda model: model(torch.zeros(4, 10))) == 160 + 2 * 320


def test_autocast_counts_the_copies_of_the_weights_that_it_makes():
    def run(model):
        model(torch.zeros(4, 10))

    # the input (160) and a bfloat16 copy of it (80), a copy of the weights (2 x 200) and the output (2 x 80)
    assert peak(layers(10, 20), run, autocast=True) == 160 + 80 + 400 + 160
