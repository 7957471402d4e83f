import pytest
import torch
from word_world import ARCHITECTURES, pretrained, save_model, small_causal_lm

from rlx.core.error import UserError
from rlx.model.average import average_weights, averaged_directory


def state(value: float, dtype=torch.float32) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor([value, 2 * value], dtype=dtype), "steps": torch.tensor(3)}


def test_weights_are_the_weighted_mean_and_integers_are_copied():
    # .25 * 1 + .75 * 3 = 2.5
    averaged = average_weights([state(1.0), state(3.0)], [0.25, 0.75])
    assert averaged["w"].tolist() == [2.5, 5.0] and averaged["steps"].item() == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_models_average_to_their_own_bits(dtype):
    one = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(dtype)}
    averaged = average_weights([one, one, one], [1 / 3] * 3)
    assert averaged["w"].dtype == dtype and torch.equal(averaged["w"], one["w"])


def test_a_weight_of_one_keeps_a_model_bit_for_bit_whatever_the_other_is():
    broken = {"w": torch.tensor([torch.inf, torch.nan]), "steps": torch.tensor(3)}
    assert torch.equal(average_weights([state(0.1), broken], [1.0, 0.0])["w"], state(0.1)["w"])


def test_the_order_of_the_models_does_not_matter():
    models = [{"w": torch.randn(1000, generator=torch.Generator().manual_seed(i))} for i in range(3)]
    there, back = average_weights(models, [1 / 3] * 3), average_weights(models[::-1], [1 / 3] * 3)
    assert torch.equal(there["w"], back["w"])


def test_a_mean_of_means_is_the_mean():
    # (w1 + w2 + w3)/3 = 2/3 (w1 + w2)/2 + 1/3 w3
    models = [{"w": torch.randn(100, generator=torch.Generator().manual_seed(i))} for i in range(3)]
    pair = average_weights(models[:2], [0.5, 0.5])
    torch.testing.assert_close(
        average_weights([pair, models[2]], [2 / 3, 1 / 3])["w"], average_weights(models, [1 / 3] * 3)["w"]
    )


@pytest.mark.parametrize(
    "other", [{"w": torch.zeros(3), "steps": torch.tensor(3)}, {"v": torch.zeros(2)}, state(1.0, torch.bfloat16)]
)
def test_models_that_do_not_match_are_refused(other):
    with pytest.raises(UserError, match="cannot be averaged"):
        average_weights([state(1.0), other], [0.5, 0.5])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_with_numbers_that_are_not_finite_is_refused_by_name_and_tensor(value, dtype):
    with pytest.raises(UserError, match="model 1 cannot be averaged: w holds NaN or infinity"):
        average_weights([state(1.0, dtype), state(value, dtype), state(2.0, dtype)], [1 / 3] * 3)


def test_tied_weights_are_averaged_once_and_stay_tied():
    shared = torch.ones(4)
    averaged = average_weights([{"embed": shared, "head": shared}] * 2, [0.5, 0.5])
    assert averaged["embed"].data_ptr() == averaged["head"].data_ptr()


@pytest.mark.parametrize("architecture", ARCHITECTURES)  # Gemma ties its embeddings, Pythia renames keys on disk
def test_directories_average_to_a_model_of_the_average_state_dict(tmp_path, architecture):
    paths = [save_model(tmp_path / str(i), architecture, seed=i) for i in range(2)]
    want = average_weights([small_causal_lm(architecture, seed=i).state_dict() for i in range(2)], [0.5, 0.5])
    with averaged_directory(paths, [0.5, 0.5]) as directory:
        averaged = pretrained(paths[0]).policy(directory).state_dict()
    for name, tensor in want.items():
        assert torch.equal(averaged[name], tensor), name
