from rlx.tracker.jsonl import Jsonl


def test_nothing_is_written_by_a_tracker_that_tells_nobody(tmp_path):
    tracker = Jsonl().start(tmp_path, {"seed": 0}, "run")
    tracker.log(0, {"objective/kl": 0.0})
    tracker.table("samples", ["step"], [[0]])
    tracker.file(tmp_path / "report.html")
    tracker.finish({})
    assert list(tmp_path.iterdir()) == []
