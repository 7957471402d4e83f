"""`rlx submit` and `rlx status` as files and calls, with scripts in the place of Slurm's commands."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from rlx.cli import main
from rlx.run.state import check_run_dir, load_config
from rlx.slurm.job import submitted
from tests.slurm.commands import install


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A working directory with nothing in it, on a machine without Slurm."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RLX_RUNS", str(folder / "runs"))
    monkeypatch.setenv("RLX_CACHE", str(folder / "cache"))
    tools = tmp_path / "tools"  # of the scripts in commands.py; Slurm's own may lie beside them
    tools.mkdir()
    for name in ("bash", "cat", "dirname", "env", "grep", "ls", "sed", "tr"):
        (tools / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tools))
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def slurm(empty, tmp_path, monkeypatch):
    return install(tmp_path / "slurm", monkeypatch)


def run_dirs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "runs").glob("*/config.yaml"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "submit",
            "no sbatch on this machine: submit from a login node of a Slurm cluster, or run here with rlx train",
        ),
        ("submit -m seed=0,1", "no sbatch on this machine"),
        ("submit slurm.gpus=-1", "slurm.gpus=-1: must be at least 0"),
        ("submit slurm.partion=big", "'slurm.partion' (did you mean 'slurm.partition'?)"),
        ("submit slurm.extra=--x", "slurm.extra=--x: must be a list"),
        ("submit reward=wram", "did you mean 'warm'?"),
        ("submit nope.yaml", "no file nope.yaml"),
        ("status nope", "no run directory 'nope'"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2_and_nothing_written(line, says, empty, capsys):
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert list(empty.iterdir()) == []


def test_a_run_is_submitted_with_its_resolved_config_and_the_command_returns(empty, slurm, capsys):
    assert main(["submit", "reward=warm", "slurm.partition=big"]) == 0
    (run_dir,) = run_dirs(empty)
    said = capsys.readouterr().out
    assert said.startswith(f"job 101: runs/{run_dir.name}\nits log: runs/{run_dir.name}/slurm-101.out\n")
    assert (slurm / "calls").read_text().strip() == f"--parsable {run_dir}/job.sbatch"
    config = load_config(run_dir / "config.yaml")
    assert config["choices"]["reward"] == "warm" and not {"slurm", "sweep"} & set(config)
    assert check_run_dir(config | {"name": "another"}).name == "another-seed0"  # free; this one's is not:
    assert "#SBATCH --partition=big" in (run_dir / "job.sbatch").read_text()
    assert submitted(run_dir).id == "101"


@pytest.mark.parametrize("verb", ["submit", "train"])
def test_a_run_whose_job_waits_is_refused_with_the_job(verb, empty, slurm, capsys):
    assert main(["submit", "seed=3"]) == 0
    assert main([verb, "seed=3"]) == 2
    err = capsys.readouterr().err
    assert "is what job 101 (PENDING) is for; wait for it, or end it: scancel 101" in err and err.count("\n") == 1
    assert main([verb, "seed=3", "tracker=jsonl"]) == 2  # the same experiment
    assert (slurm / "count").read_text() == "101\n"


def test_a_run_whose_job_is_gone_is_submitted_again(empty, slurm):
    assert main(["submit"]) == 0
    (slurm / "queue").write_text("101|PENDING|Priority||another clusters job\n")
    assert main(["submit"]) == 0
    (run_dir,) = run_dirs(empty)
    (slurm / "queue").write_text("")
    assert main(["submit", str(run_dir)]) == 0
    assert submitted(run_dir).id == "103"


def test_what_was_never_submitted_has_no_script_to_submit_again(empty, slurm, capsys):
    assert main(["submit"]) == 0
    (run_dir,) = run_dirs(empty)
    (run_dir / "job.sbatch").unlink()
    assert main(["submit", str(run_dir)]) == 2
    assert "was never submitted: say the whole line" in capsys.readouterr().err


def test_a_refusal_of_slurms_is_one_line_and_leaves_what_there_was(empty, slurm, capsys):
    (slurm / "refuse").write_text("Invalid account or account/partition combination specified")
    assert main(["submit", "slurm.account=nobody"]) == 2
    err = capsys.readouterr().err
    assert err == (
        "rlx: sbatch: Batch job submission failed: Invalid account or account/partition combination specified\n"
    )
    assert list(empty.iterdir()) == []
    (slurm / "refuse").unlink()
    assert main(["submit"]) == 0
    (slurm / "queue").unlink()
    (run_dir,) = run_dirs(empty)
    before = {path: path.read_bytes() for path in run_dir.iterdir()}
    (slurm / "refuse").write_text("no")
    assert main(["submit", "slurm.time=5", "tracker=jsonl"]) == 2
    assert before == {path: path.read_bytes() for path in run_dir.iterdir()}


def test_a_done_run_is_not_submitted(empty, slurm, capsys):
    assert main(["submit"]) == 0
    (run_dir,) = run_dirs(empty)
    (run_dir / "status.json").write_text(json.dumps({"state": "done"}))
    (slurm / "queue").write_text("")
    capsys.readouterr()
    assert main(["submit"]) == 0
    assert "is done" in capsys.readouterr().out and (slurm / "count").read_text() == "101\n"


def test_a_sweeps_cells_wait_for_the_end_of_one_job_that_prepares(empty, slurm, capsys):
    assert main(["submit", "-m", "reward=single,warm", "seed=0,1"]) == 0
    said = capsys.readouterr().out
    (sweep,) = (empty / "runs").glob("sweep-*")
    calls = (slurm / "calls").read_text().splitlines()
    assert calls[0] == f"--parsable {sweep}/job.sbatch"
    assert calls[1:] == [
        f"--parsable --dependency=afterany:101 {empty}/runs/{Path(row['run']).name}/job.sbatch" for row in rows(sweep)
    ]
    assert f"rlx.cli prepare {sweep}\n" in (sweep / "job.sbatch").read_text()
    assert [(row["state"], row["reason"]) for row in rows(sweep)] == [
        ("submitted", f"job {job}") for job in range(102, 106)
    ]
    assert "4 of 4 cells submitted" in said and "scancel 101 102 103 104 105" in said
    assert [p.name for p in run_dirs(empty)] == sorted(Path(row["run"]).name for row in rows(sweep))


def rows(sweep: Path) -> list[dict]:
    return [json.loads(line) for line in (sweep / "index.jsonl").read_text().splitlines()]


def test_cells_that_are_done_are_not_submitted_again_and_one_alone_needs_no_preparing(empty, slurm, capsys):
    line = ["submit", "-m", "seed=0,1,2"]
    assert main(line) == 0
    assert main(line) == 2 and "is what job 10" in capsys.readouterr().err
    (slurm / "queue").write_text("")
    for run_dir in run_dirs(empty)[:2]:
        (run_dir / "status.json").write_text(json.dumps({"state": "done"}))
    assert main(line) == 0
    assert "1 of 3 cells submitted" in capsys.readouterr().out
    (sweep,) = (empty / "runs").glob("sweep-*")
    assert main(["submit", str(sweep)]) == 2 and "is what job 105 (PENDING) is for" in capsys.readouterr().err
    assert (slurm / "calls").read_text().splitlines()[-1] == f"--parsable {run_dirs(empty)[2]}/job.sbatch"
    (run_dirs(empty)[2] / "status.json").write_text(json.dumps({"state": "done"}))
    (slurm / "queue").write_text("")
    assert main(line) == 0
    assert "all 3 cells are done" in capsys.readouterr().out and (slurm / "count").read_text() == "105\n"


def test_a_sweep_is_submitted_again_by_its_name_without_its_line(empty, slurm, capsys):
    assert main(["submit", "-m", "seed=0,1,2"]) == 0
    (sweep,) = (empty / "runs").glob("sweep-*")
    (run_dirs(empty)[0] / "status.json").write_text(json.dumps({"state": "done"}))
    (slurm / "queue").write_text("")
    assert main(["submit", str(sweep)]) == 0
    assert "2 of 3 cells submitted" in capsys.readouterr().out
    assert (slurm / "calls").read_text().splitlines()[4:] == [
        f"--parsable {sweep}/job.sbatch",
        f"--parsable --dependency=afterany:105 {run_dirs(empty)[1]}/job.sbatch",
        f"--parsable --dependency=afterany:105 {run_dirs(empty)[2]}/job.sbatch",
    ]
    (slurm / "queue").write_text("")
    (slurm / "refuse_job").write_text("109")
    kept = submitted(sweep), submitted(run_dirs(empty)[1])
    assert main(["submit", str(sweep)]) == 2
    assert (slurm / "cancelled").read_text() == "108\n"
    assert (submitted(sweep), submitted(run_dirs(empty)[1])) == kept


def test_a_sweep_that_is_refused_half_way_is_taken_back_whole(empty, slurm, capsys):
    (slurm / "refuse_job").write_text("103")
    assert main(["submit", "-m", "seed=0,1,2"]) == 2
    assert capsys.readouterr().err == "rlx: sbatch: QOSMaxSubmitJobPerUserLimit\n"
    assert (slurm / "cancelled").read_text() == "101 102\n"
    assert list(empty.iterdir()) == []


def table(capsys, *names: str) -> dict[str, str]:
    """Run directory's name -> its row, from its state on."""
    capsys.readouterr()
    assert main(["status", *names]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    found = [line.partition(" ") for line in lines if line.startswith("runs/")]
    return {Path(name).name: " ".join(rest.split()) for name, _, rest in found}


def test_status_tells_of_every_run_with_one_question_to_the_queue(empty, slurm, capsys, monkeypatch):
    for seed, name in enumerate(["done", "waits", "runs", "lost", "cut", "failed", "died"]):
        assert main(["submit", f"name={name}", f"seed={seed}"]) == 0
    runs = {path.name.partition("-")[0]: path for path in run_dirs(empty)}
    (slurm / "squeues").unlink(missing_ok=True)
    (slurm / "queue").write_text("102|PENDING|Priority||waits-seed1\n103|RUNNING|None|n[1-2]|runs-seed2\n")

    def left(name: str, **status: object) -> None:
        (runs[name] / "status.json").write_text(json.dumps(status))

    left("done", state="done", job="101", host="n1", pid=1)
    left("runs", state="running", job="103", host="n1", pid=1)
    left("lost", state="running", job="104", host="n1", pid=1)
    left("cut", state="interrupted", reason="stopped by SIGTERM", job="105", host="n1", pid=1)
    left("failed", state="failed", reason="process 1 on n2 failed: killed by SIGKILL", job="106", host="n1", pid=1)
    (runs["runs"] / "metrics.jsonl").write_text('{"step": 6, "split": "train"}\n{"step": 6, "split": "heldout"}\n{"st')
    told = table(capsys)
    assert (slurm / "squeues").read_text().count("x") <= 2
    assert told["done-seed0"].startswith("done 101")
    assert told["waits-seed1"].startswith("pending 102 PENDING (Priority)")
    assert told["runs-seed2"].startswith("running 6 of 100 103 RUNNING (n[1-2])")
    assert told["lost-seed3"].startswith("interrupted 104") and "its job 104 is gone" in told["lost-seed3"]
    assert told["cut-seed4"].endswith("stopped by SIGTERM")
    assert told["failed-seed5"].startswith("failed 106") and told["failed-seed5"].endswith("killed by SIGKILL")
    assert "job 107 ended before it began; see slurm-107.out in it" in told["died-seed6"]
    assert table(capsys, "runs-seed2").keys() == {"runs-seed2"}


def test_status_without_slurm_tells_what_the_files_say(empty, capsys):
    run_dir = empty / "runs" / "one-seed0"
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text("num_steps: 7\n")
    assert table(capsys)["one-seed0"].startswith("not started")
    (run_dir / "status.json").write_text(json.dumps({"state": "running", "host": "n1", "pid": 1, "job": "12"}))
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "the queue could not be asked: squeue is not on this machine" in said and "running" in said
    (run_dir / "status.json").write_text(json.dumps({"state": "running", "pid": 2**22 + 1}))
    assert "its process is gone" in table(capsys)["one-seed0"]


def test_status_where_there_is_nothing(empty, capsys):
    assert main(["status"]) == 0
    assert "no runs in" in capsys.readouterr().out


def test_a_sweeps_status_has_its_prepare_job_and_its_cells(empty, slurm, capsys):
    assert main(["submit", "-m", "seed=0,1"]) == 0
    (sweep,) = (empty / "runs").glob("sweep-*")
    told = table(capsys, sweep.name)
    assert told[sweep.name].startswith("pending 101") and len(told) == 3
    (slurm / "queue").write_text("")
    assert "the cells build what they miss" in table(capsys, sweep.name)[sweep.name]
    (sweep / "prepared.json").write_text(json.dumps({"failed": {}}))
    os.utime(sweep / "prepared.json", (2**32, 2**32))
    assert table(capsys)[sweep.name].startswith("done 101")


@pytest.mark.parametrize(
    ("job", "queue", "free"), [("12", "", True), ("12", "12|RUNNING|None|n1|x\n", False), (None, "", False)]
)
def test_a_run_on_another_machine_is_at_work_unless_its_job_is_known_to_be_gone(job, queue, free, empty, slurm, capsys):
    assert main(["submit"]) == 0
    (run_dir,) = run_dirs(empty)
    (slurm / "queue").write_text(queue)
    (run_dir / "status.json").write_text(json.dumps({"state": "running", "host": "n1", "pid": 1, "job": job}))
    assert main(["submit"]) == (0 if free else 2)
    assert free or "is being worked on by process 1 on n1; wait for it or stop it" in capsys.readouterr().err


def test_a_job_is_not_told_of_itself(empty, slurm, monkeypatch):
    assert main(shlex.split("submit")) == 0
    (run_dir,) = run_dirs(empty)
    config = load_config(run_dir / "config.yaml")
    (run_dir / "status.json").write_text(json.dumps({"state": "running", "host": "n1", "pid": 1, "job": "101"}))
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    assert check_run_dir(config) == run_dir
