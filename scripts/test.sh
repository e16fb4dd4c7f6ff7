#!/bin/sh
# Set up what the tests need and run all checks: sh scripts/test.sh
# With arguments, only pytest with these: sh scripts/test.sh tests/test_config.py -k nearest
set -eu
cd "$(dirname "$0")/.."
. scripts/environment.sh

environment requirements-dev
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
python=$VENV/bin/python

if [ $# -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy ldseg
"$python" -m pytest
echo "The core once more, on JAX:"
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$python" -m pytest -m core
