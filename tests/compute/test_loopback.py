"""Processes of one machine meet where no other machine can knock."""

import os
import socket
from datetime import timedelta

import psutil
import pytest
from torch import distributed

from rlx.compute.loopback import Loopback, use


def listening(pid: int) -> dict[int, str]:
    """Port -> address, of what the process listens on."""
    found = psutil.Process(pid).net_connections("tcp")
    return {each.laddr.port: each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}


def test_the_rendezvous_listens_on_the_loopback_alone_and_works():
    before = listening(os.getpid())
    rendezvous = Loopback("run", 10).next_rendezvous()
    opened = {port: ip for port, ip in listening(os.getpid()).items() if port not in before}
    info = rendezvous.bootstrap_store_info
    assert info is not None and opened == {info.master_port: "127.0.0.1"} and info.master_addr == "127.0.0.1"
    client = distributed.TCPStore(info.master_addr, info.master_port, None, False, timedelta(seconds=10))
    client.set("run/key", "word")
    assert rendezvous.store.get("key") == b"word"


def test_two_at_once_have_two_ports():
    first, second = (Loopback("run", 10).next_rendezvous().bootstrap_store_info for _ in range(2))
    assert first is not None and second is not None and first.master_port != second.master_port


def test_who_names_an_interface_keeps_it(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    use()
    use()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"
    assert os.environ.pop("NCCL_SOCKET_IFNAME") in {name for _, name in socket.if_nameindex() if name.startswith("lo")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_process_of_a_run_on_one_machine_listens_elsewhere(in_background, tmp_path):
    import sys

    from tests.compute.test_launcher import MINIATURE, TWO, wait_for

    command = [sys.executable, "-m", "rlx.cli", "train", *MINIATURE, "compute=ddp", *TWO, "num_steps=1000"]
    process = in_background(command, tmp_path / "cache")
    wait_for(tmp_path / "runs", "*/metrics.jsonl", process)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    addresses = [ip for pid in family for ip in listening(pid).values()]
    assert len(family) >= 3 and addresses and set(addresses) <= {"127.0.0.1", "::1"}
