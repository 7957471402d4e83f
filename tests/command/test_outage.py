"""What fills, ends or dies on a machine is one line with exit code 1."""

import errno
import socket

import pytest
import torch
from safetensors import SafetensorError

from rlx import cli
from rlx.command.outage import worded


def raised(error: Exception, cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except Exception:
            raise error  # as a status that cannot be written either  # noqa: B904
    except Exception as ex:
        return ex


CASES = [
    (OSError(errno.ENOSPC, "No space left on device", "/dev/null"), "the disk is full: /dev/null ("),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "your disk quota is used up: runs ("),
    (OSError(errno.EFBIG, "File too large"), "a file may grow no further: "),
    (
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        "the disk is full: ",
    ),
    (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "the disk is full: "),
    (MemoryError(), "out of memory: MemoryError; "),
    (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
        "tried to allocate 99 bytes",
    ),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "Tried to allocate 2.00 GiB"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "the network: ConnectionRefusedError: "),
    (socket.gaierror(-2, "Name or service not known"), "the network: gaierror: "),
    (raised(RuntimeError("status"), OSError(errno.ENOSPC, "No space left on device")), "the disk is full: "),
]


@pytest.mark.parametrize(("error", "said"), CASES)
def test_the_line_says_what_where_and_that_the_same_command_goes_on(error, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLX_RUNS", raising=False)
    monkeypatch.delenv("RLX_DEBUG", raising=False)

    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["train"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rlx: ") and said in line and line.endswith("the same command goes on")


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.EACCES, "Permission denied"), KeyError("memory")])
def test_any_other_error_keeps_its_traceback(error):
    assert worded(error) is None


def test_a_full_device_says_so(tmp_path):
    with pytest.raises(OSError) as caught, open("/dev/full", "w") as file:
        file.write("x")
    line = worded(caught.value)
    assert line is not None and line.startswith("the disk is full: ") and "MB free there" in line
