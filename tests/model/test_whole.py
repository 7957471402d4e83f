"""Weights that FSDP has spread over two processes come together again, in both. (ZeRO-3's: tests/compute.)"""

from pathlib import Path

import pytest
import torch
from ddp_of import ddp_of
from safetensors.torch import load_file, save_file
from several_runs import tiny_llama_of_two
from torch import distributed

from rlx.compute.launcher import launch
from rlx.model.whole import is_spread, plain_copy, whole_state

TWO = ddp_of(2)


def work(folder: Path) -> None:
    """What each of the two does."""
    from torch.distributed.fsdp import fully_shard

    TWO.start()
    model, blank = tiny_llama_of_two(), tiny_llama_of_two()
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ids = torch.arange(2, 14).view(2, 6)[distributed.get_rank()][None]
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    assert is_spread(model) and not is_spread(blank)
    plain = plain_copy(model, blank)
    assert not is_spread(plain) and type(plain).__name__ == "LlamaForCausalLM"
    state = whole_state(model)
    assert all(torch.equal(x, state[name]) for name, x in plain.state_dict().items())
    save_file(plain.state_dict(), folder / f"{distributed.get_rank()}.safetensors")


@pytest.mark.slow
def test_a_plain_copy_of_a_sharded_model_is_what_one_process_would_have_learnt(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[1]}:{Path(__file__).parent}:{Path(__file__).parents[2]}")
    launch("test_whole", tmp_path, TWO, tmp_path / "processes")
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    alone = tiny_llama_of_two()
    ids = torch.arange(2, 14).view(2, 6)
    alone(input_ids=ids, labels=ids).loss.backward()
    torch.optim.SGD(alone.parameters(), lr=0.1).step()
    for name, x in alone.state_dict().items():
        assert torch.equal(first[name], second[name])
        assert torch.allclose(first[name], x, atol=1e-6)


def test_a_model_in_one_piece_is_copied_as_it_is():
    model = tiny_llama_of_two()
    copy = plain_copy(model, model)
    assert copy is not model and all(
        torch.equal(a, b) for a, b in zip(model.parameters(), copy.parameters(), strict=True)
    )
