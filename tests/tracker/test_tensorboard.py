import logging
import struct
import sys

import pytest

from rlx.core.error import UserError
from rlx.tracker.tensorboard import TensorBoard

CHOICE = TensorBoard(folder="tensorboard")
NOT_INSTALLED = {"torch.utils.tensorboard": None, "tensorboardX": None}


@pytest.fixture
def library():
    """Either library; `pip install tensorboardX` for these tests."""
    return pytest.importorskip("tensorboardX")


def events(folder) -> list:
    """All events of a folder, in the order of its files: length, its checksum, the record, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, position = path.read_bytes(), 0
        while position < len(data):
            (length,) = struct.unpack("<Q", data[position : position + 8])
            found.append(Event.FromString(data[position + 12 : position + 12 + length]))
            position += 12 + length + 4
    return found


def values(folder):
    return [(value.tag, event.step, value) for event in events(folder) for value in event.summary.value]


def test_event_files_hold_what_was_told(library, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-hub")
    tracker = CHOICE.start(tmp_path, {"seed": 3, "note": "secret-of-the-hub"}, "warm-seed3")
    tracker.log(0, {"gold/score": 1.0}, "heldout")
    tracker.log(1, {"objective/kl": 0.25, "policy/ratio": float("nan")})
    tracker.table(
        "samples", ["step", "completion", "gold"], [[0, "<script>alert(1)</script> a|b\nc", 1.0], [0, "ok", None]]
    )
    (tmp_path / "report.html").write_text("<h1>report</h1>")
    (tmp_path / "README.md").write_text("# A card <script>")
    tracker.file(tmp_path / "report.html")
    tracker.file(tmp_path / "README.md")
    tracker.finish({"gold/win_rate": 0.75})
    tracker.log(2, {"objective/kl": 9.0})  # after the end, nothing
    found = values(tmp_path / "tensorboard")
    scalars = {(tag, step): value.simple_value for tag, step, value in found if value.HasField("simple_value")}
    assert scalars.pop(("policy/ratio", 1)) != scalars.get(("policy/ratio", 1))  # NaN
    assert scalars == {("heldout/gold/score", 0): 1.0, ("objective/kl", 1): 0.25}
    texts = {tag.removesuffix("/text_summary"): value.tensor.string_val[0].decode() for tag, _, value in found
             if value.tensor.string_val}  # fmt: skip
    assert texts.keys() == {"config", "samples", "report", "README", "summary"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt; a&#124;b c | 1.0 |" in texts["samples"]
    assert "<script" not in "".join(texts.values()) and "secret-of-the-hub" not in texts["config"]
    assert texts["report"] == "warm-seed3/report.html" and "| gold/win_rate | 0.75 |" in texts["summary"]


def test_a_resumed_run_replaces_the_rows_from_its_first_step_on(library, tmp_path):
    for first in (1, 3):
        tracker = CHOICE.start(tmp_path, {}, "run-seed0")
        for step in range(first, first + 4):
            tracker.log(step, {"objective/kl": float(first)})
        tracker.finish({})
    starts = [event.step for event in events(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert 3 in starts  # TensorBoard forgets what an earlier file says from this step on


def test_a_failure_ends_no_run_and_is_said_once(library, tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    tracker = CHOICE.start(tmp_path, {}, "run-seed0")
    with caplog.at_level(logging.WARNING):
        tracker.log(1, {"objective/kl": 0.25})
        tracker.log(2, {"objective/kl": 0.25})
        tracker.finish({})
    assert caplog.text.count("TensorBoard logging failed") == 1


def test_without_a_library_one_line_says_what_to_install(tmp_path, monkeypatch):
    for name, module in NOT_INSTALLED.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        CHOICE.start(tmp_path, {}, "run-seed0")


def test_a_folder_outside_of_the_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="leaves the run directory"):
        TensorBoard(folder="../elsewhere").start(tmp_path, {}, "run-seed0")
