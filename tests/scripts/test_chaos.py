"""What `make chaos` does to files, what it takes for the same, and what it counts."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import chaos
from chaos_judge import Outcome, damage, differences, table


def run_in(folder: Path, **files: str) -> Path:
    run = folder / "runs" / "a-seed0"
    (run / "model").mkdir(parents=True)
    rows = '{"step": 1, "loss": 0.5, "time/learn": 2.0}\n'
    whole = {"metrics.jsonl": rows, "samples.jsonl": "s", "summary.json": "{}", "final_samples.jsonl": "f",
             "model/model.safetensors": "w", "report.html": "p", "status.json": "{}"}  # fmt: skip
    for name, text in (whole | files).items():
        (run / name).write_text(text)
    return folder


def test_times_do_not_count_and_numbers_do(tmp_path):
    whole = run_in(tmp_path / "whole")
    later = run_in(tmp_path / "later", **{"metrics.jsonl": '{"step": 1, "loss": 0.5, "time/learn": 9.0}\n'})
    other = run_in(tmp_path / "other", **{"metrics.jsonl": '{"step": 1, "loss": 0.6, "time/learn": 2.0}\n'})
    assert list(differences(whole, later)) == [] and list(differences(whole, other)) == ["a-seed0/metrics.jsonl"]
    (later / "runs" / "a-seed0" / "report.html").unlink()
    assert list(differences(whole, later)) == ["a-seed0/report.html"]


def test_damage_is_what_it_says_and_the_same_for_a_seed(tmp_path):
    seen = set()
    for seed in range(20):
        path, twin = tmp_path / "file", tmp_path / "twin"
        for each in (path, twin):
            each.write_bytes(bytes(range(100)))
        how = damage(path, random.Random(seed))
        assert damage(twin, random.Random(seed)) == how and path.exists() == twin.exists()
        seen.add(how.split()[0])
        if path.exists():
            content = path.read_bytes()
            assert content == twin.read_bytes() != bytes(range(100))
            wrong = sum(bin(a ^ b).count("1") for a, b in zip(content, range(100), strict=False))
            assert (len(content), wrong) == (100, 1) if how.startswith("flip") else (len(content) < 100 and wrong == 0)
    assert seen == {"flip", "cut", "delete"}


def test_every_kind_of_case_has_a_command_and_the_table_counts_them():
    assert {chaos.command_of(kind) for kind in chaos.KINDS} == set(chaos.COMMANDS)
    outcomes = [Outcome("same", "kill run: x"), Outcome("same", "kill run: y"), Outcome("violation", "kill ddp: z")]
    lines = [line.split() for line in table(outcomes, list(chaos.KINDS)).splitlines()]
    assert lines == [
        ["same", "said", "violation"],
        ["kill", "run", "2", "0", "0"],
        ["kill", "ddp", "0", "0", "1"],
        ["all", "2", "0", "1"],
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_few_cases_end_without_a_violation(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["chaos.py", "--cases", "3", "--only", "run", "--folder", str(tmp_path)])
    assert chaos.main() == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-2].split()[-1]) == 0
