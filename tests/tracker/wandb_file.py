"""Reads a .wandb file (a LevelDB log of protobuf records) with nothing but wandb's own protobuf module."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb


def records(path: Path) -> Iterator[Any]:
    """Every whole record; a record that was cut off while being written ends the reading."""
    data = path.read_bytes()
    if len(data) < 7:  # its header is not written yet
        return
    assert data[:4] == b":W&B", data[:8]
    position, part = 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        if kind == 0:  # zero padding at a block's end
            position += left
            continue
        body = data[position + 7 : position + 7 + length]
        position += 7 + length
        if len(body) < length:
            return
        part += body
        if kind in (1, 4):  # a full record, or the last part of one
            record = pb.Record()  # pyright: ignore[reportAttributeAccessIssue]  generated code
            record.ParseFromString(part)
            part = b""
            yield record


def items(pairs: Any) -> dict[str, Any]:
    """Key -> value of a history row, a summary or a config."""
    return {pair.key or ".".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}
