#!/bin/sh
# Correctness and speed on this machine's GPU, as a Markdown table (make gpu-check). Without a GPU: one line, and success.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" scripts/gpu_check.py "$@"
