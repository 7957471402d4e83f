"""Sweeps as processes and files: what is started, what an end of any kind leaves, what the index says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from rlx.command.check import checked
from rlx.command.compose import compose, flags_last
from rlx.command.sweep import parallel, rows_of
from rlx.run.name import run_name, sweep_name
from rlx.run.sweep_index import SweepDirectory, axes_of, read_rows

# Its model is not there: a cell fails within the seconds that imports take.
BROKEN = ["world=preferences", "world.path=pairs.jsonl", "model=pretrained", "model.path=nowhere", "tracker=jsonl"]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLX_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def sweep(*line: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rlx.cli", "train", "-m", *line]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "300"}, timeout=240)


def planted(*line: str, **status: object) -> Path:
    """The run directory of a command line, with a status as an earlier run would have left it."""
    config = checked(compose(list(line))[0].config)
    run_dir = Path(config["runs_dir"]) / run_name(config)
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    (run_dir / "status.json").write_text(json.dumps(status))
    return run_dir


def index(folder: Path) -> list[dict]:
    (found,) = (folder / "runs").glob("sweep-*")
    return read_rows(found)


@pytest.mark.parametrize(
    "line",
    [
        "reward=gold -m seed=0,1",
        "reward=gold seed=0,1 --multirun",
        "-m reward=gold seed=0,1",
        "--multi reward=gold seed=0,1",
    ],
)
def test_the_flag_of_a_sweep_may_stand_anywhere(line, empty):
    assert [cell.config["seed"] for cell in compose(line.split())] == [0, 1]
    assert {cell.config["choices"]["reward"] for cell in compose(line.split())} == {"gold"}
    assert list(empty.iterdir()) == []


def test_flags_keep_their_values_wherever_they_stand():
    line = ["a=1", "--config-dir", "mine", "b=2", "--info", "c=3", "--cfg", "job", "-m", "d=4"]
    flags = ["--config-dir", "mine", "--info", "--cfg", "job", "-m"]
    assert flags_last(line) == ["a=1", "b=2", "c=3", "d=4", *flags]
    assert flags_last(["--info", "defaults", "a=1"]) == ["a=1", "--info", "defaults"]


def test_axes_are_what_differs_between_cells_as_typed_and_seeds_are_none():
    cells = [["reward=single", "num_steps=4", "+sampler.x=1", "seed=0"], ["reward=warm", "num_steps=4", "seed=1"]]
    assert axes_of(cells) == [{"reward": "single", "sampler.x": "1"}, {"reward": "warm", "sampler.x": ""}]
    assert axes_of([["seed=0"], ["seed=1"]]) == [{}, {}]


def test_a_sweep_is_named_by_its_set_of_cells_in_any_order(empty):
    def name(*line: str) -> str:
        return sweep_name(checked(cell.config) for cell in compose(["-m", *line]))

    assert name("seed=0,1") == name("seed=1,0", "tracker=jsonl")
    assert (
        len({name("seed=0,1"), name("seed=0,1,2"), name("seed=0,1", "num_steps=40"), name("seed=0,1", "name=x")}) == 4
    )


def test_cells_at_once_follow_the_cores_only_where_memory_is_no_question(empty, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))

    def at_once(asked: int | None, *line: str) -> int:
        return parallel(asked, [row.config for row in rows_of(compose(["-m", *line]))])

    assert at_once(None, "seed=0,1,2,3") == 4
    assert at_once(None, "seed=0,1,2,3", "compute.num_threads=3") == 2
    assert at_once(3, "seed=0,1") == 2
    assert at_once(None, "seed=0,1", *BROKEN) == 1


def test_what_fails_is_told_with_its_reason_and_takes_no_other_cell_down(empty):
    """Two cells that cannot be, and one that is done already: nothing is run again."""
    pairs = [{"prompt": f"{i}?", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(200)]
    (empty / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    done_dir = planted(*BROKEN, "seed=2", state="done")
    ended = sweep(*BROKEN, "seed=0,1,2")
    assert ended.returncode == 1
    assert "2 of 3 cells to do" in ended.stderr and "Traceback" not in ended.stderr
    said = " ".join(ended.stdout.split())
    assert (
        said.count("model.path=nowhere: not in the Hub cache") == 2
        and "1 of 3 cells are done" in said
        and "does only what is not done" in said
    )
    states = {p.parent.name: json.loads(p.read_text())["state"] for p in (empty / "runs").glob("*/status.json")}
    assert sorted(states.values()) == ["done", "failed", "failed"] and states[done_dir.name] == "done"
    assert not (empty / "multirun").exists() and not (empty / "multirun.yaml").exists()
    rows = index(empty)
    assert [(row["seed"], row["state"]) for row in rows] == [(0, "failed"), (1, "failed"), (2, "done")]
    assert "model.path=nowhere" in rows[0]["reason"] and rows[0]["run"].startswith(
        "../single-frozen-ppo-kl-preferences-"
    )


def test_a_cell_that_dies_without_a_word_is_failed_with_its_signal(empty, monkeypatch):
    """A process that kills itself stands for one that the kernel killed for its memory."""
    (empty / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if any(word.endswith('seed1/config.yaml') for word in sys.argv): os.kill(os.getpid(), signal.SIGKILL)\n"
        "if any(word.endswith('seed0/config.yaml') for word in sys.argv): os._exit(7)\n"
        "if 'prepare' in sys.argv: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(empty))
    ended = sweep("tracker=jsonl", "seed=0,1", "sweep.num_parallel=2")
    assert ended.returncode == 1
    assert (
        "could not be prepared (stopped by SIGKILL (out of memory?)): each cell builds what it misses" in ended.stderr
    )
    assert {row["reason"] for row in index(empty)} == {"stopped by SIGKILL (out of memory?)", "exit code 7"}


def test_fail_fast_starts_no_other_cell(empty, monkeypatch):
    (empty / "sitecustomize.py").write_text(
        "import os, sys\nif any(word.endswith('seed0/config.yaml') for word in sys.argv): os._exit(7)\n"
        "if 'prepare' in sys.argv: os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(empty))
    ended = sweep("tracker=jsonl", "seed=0,1,2", "sweep.num_parallel=1", "sweep.fail_fast=true")
    assert ended.returncode == 1 and "the others are stopped" in ended.stderr
    assert [row["state"] for row in index(empty)] == ["failed", "not started", "not started"]


def test_ctrl_c_reaches_every_cell_once_and_the_index_says_where_they_stand(empty):
    """Cells that sleep instead of training; each notes how often it was interrupted."""
    (empty / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'prepare' in sys.argv: os._exit(1)\n"
        "if any(word.endswith('/config.yaml') for word in sys.argv):\n"
        "    import signal\n"
        "    signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "    note = sys.argv[-1] + '.interrupts'\n"
        "    open(sys.argv[-1] + '.up', 'w').close()\n"
        "    try: time.sleep(60)\n"
        "    except KeyboardInterrupt: open(note, 'a').write('x')\n"
        "    time.sleep(0.5)\n"
        "    os._exit(130)\n"
    )
    command = [sys.executable, "-m", "rlx.cli", "train", "-m", "tracker=jsonl", "seed=0,1,2", "sweep.num_parallel=2"]
    env = os.environ | {"PYTHONPATH": str(empty)}
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)
    deadline = time.monotonic() + 60
    while len(list((empty / "runs").glob("*/config.yaml.up"))) < 2:
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=240) == 130
    assert [p.read_text() for p in (empty / "runs").glob("*/config.yaml.interrupts")] == ["x", "x"]
    assert [row["state"] for row in index(empty)] == ["not started"] * 3


def test_the_parquet_index_has_a_column_for_each_axis_choice_and_metric(empty):
    run_dir = planted("reward=warm", "seed=0", state="done")
    (run_dir / "summary.json").write_text(json.dumps({"gold/win_rate": 0.75}))
    (run_dir / "provenance.json").write_text(json.dumps({"costs": {"policy": 2.0, "combine": 1.5}}))
    directory = SweepDirectory(rows_of(compose(["-m", "reward=single,warm", "seed=0"])))
    directory.write()
    table = pyarrow.parquet.read_table(directory.path / "index.parquet").to_pylist()
    assert [row["axis.reward"] for row in table] == ["single", "warm"]
    assert [row["gold/win_rate"] for row in table] == [None, 0.75]
    assert [row["state"] for row in table] == ["not started", "done"]
    assert table[1]["seconds"] == 3.5 and table[1]["choice.world"] == "lab"


NEIGHBOUR = """
import json, os, sys, time  # an rlx of another command
from pathlib import Path
status = Path(sys.argv[1]) / "status.json"
status.write_text(json.dumps({"state": "running", "pid": os.getpid()}))
while not Path(sys.argv[2]).exists():
    time.sleep(0.05)
status.write_text(json.dumps({"state": sys.argv[3]}))
"""


@pytest.mark.parametrize("end", ["done", pytest.param("interrupted", marks=pytest.mark.slow)])
def test_a_cell_that_another_process_works_on_is_waited_for(empty, monkeypatch, end):
    """As one that a killed sweep has left behind. If it does not end its run, the sweep goes on with it."""
    (empty / "sitecustomize.py").write_text(
        "import os, sys\nif any(word.endswith('/config.yaml') for word in sys.argv):\n"
        f"    open({str(empty / 'go')!r}, 'w').close()\n    os._exit(7)\n"
        "if 'prepare' in sys.argv: os._exit(1)\n"
    )
    run_dir = planted("tracker=jsonl", "seed=1")
    neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(run_dir), str(empty / "go"), end])
    while "running" not in (run_dir / "status.json").read_text():
        time.sleep(0.02)
    monkeypatch.setenv("PYTHONPATH", f"{empty}:{os.environ.get('PYTHONPATH', '')}")
    ended = sweep("tracker=jsonl", "seed=0,1")
    assert neighbour.wait() == 0 and ended.returncode == 1
    assert f"seed1 is being worked on by process {neighbour.pid}; waiting for it" in ended.stderr
    assert [(row["state"], row["reason"]) for row in index(empty)] == [("failed", "exit code 7"), (end, "")]
    assert ("[2/2] seed=1" in ended.stderr) == (end == "interrupted")
