#!/usr/bin/env bash
# The GPU rows of the benchmarks, with nothing installed but torch, transformers, peft, safetensors and numpy.
# PYTHON names the interpreter; `benchmarks/gpu.sh --help` says the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python3}" benchmarks/gpu.py "$@"
