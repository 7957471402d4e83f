"""Slurm's commands as shell scripts that keep what they are told in files: what rlx says to them, without a cluster."""

import os
from pathlib import Path

SBATCH = """\
#!/bin/bash
cd "$(dirname "$0")"
[ -z "$(ls refuse 2>/dev/null)" ] || { echo "sbatch: error: Batch job submission failed: $(cat refuse)" >&2; exit 1; }
n=$(($(cat count 2>/dev/null || echo 100) + 1)); echo $n >count
[ "$n" != "$(cat refuse_job 2>/dev/null)" ] || { echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }
echo "$*" >>calls; env >"env.$n"
echo "$n|PENDING|Priority||$(sed -n 's/^#SBATCH --job-name=//p' "${@: -1}" | tr -d "'")" >>queue
echo "$n"
"""
SQUEUE = """\
#!/bin/bash
cd "$(dirname "$0")"; echo x >>squeues
[ ! -e down ] || { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
jobs=$(printf '%s\\n' "$@" | sed -n 's/^--jobs=//p')
grep -E "^(${jobs//,/|})\\|" queue || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
"""
SCANCEL = """\
#!/bin/bash
cd "$(dirname "$0")"; echo "$*" >>cancelled
"""


def install(folder: Path, monkeypatch) -> Path:
    """Put them first on PATH; return the folder with their files: calls, queue, cancelled, refuse, refuse_job, down."""
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder
