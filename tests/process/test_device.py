"""What a process does with the GPUs that it sees, on machines without one: torch's answers about them are made up."""

import os
import warnings

import pytest
import torch
from ddp_of import ddp_of

from rlx.compute.ddp import DDP
from rlx.process.device import on_device, random_state_kept


def processes(number: int = 1) -> DDP:
    return ddp_of(number, torch.get_num_threads(), grace=1.0)


@pytest.mark.parametrize(("visible", "seen"), [(None, "0"), ("2,3", "2"), ("1", "1"), ("", "")])
def test_a_process_alone_sees_the_first_gpu_only_so_that_no_trainer_spreads_its_model_over_all(
    monkeypatch, visible, seen
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be put back")
    monkeypatch.delenv("RANK", raising=False)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    processes().start()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_who_will_launch_several_goes_on_seeing_all_gpus(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    processes(2).start()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_a_launchers_worker_goes_on_seeing_all_gpus_and_takes_its_own(monkeypatch):
    chosen = []
    worker = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in {**worker, "CUDA_VISIBLE_DEVICES": "2,3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("rlx.compute._processes.leave_stacks", lambda: None)
    monkeypatch.setattr("rlx.process.processes.have_patience", lambda patience: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, timeout: chosen.append(backend))
    processes(2).start()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3" and chosen == [1, "cpu:gloo,cuda:nccl"]


def test_random_states_are_put_back_of_the_cpu_and_of_this_process_gpu_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(("read", device)))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: asked.append(("put back", device)))
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's, of every GPU that it sees
        with random_state_kept():
            torch.rand(3)
    assert asked == [("read", 3), ("put back", 3)]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_is_asked_lies_on_the_gpu_where_there_is_one_and_a_service_stays(monkeypatch):
    class Model:
        device = "cpu"

        def to(self, device: str) -> None:
            self.device = device

    assert on_device(Model()).device == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_device(Model()).device == "cuda"
    service = object()
    assert on_device(service) is service
