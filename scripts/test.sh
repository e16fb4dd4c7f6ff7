#!/bin/sh
# Set up what the tests need and run the checks and tests: sh scripts/test.sh
#   sh scripts/test.sh integrations   what needs a wheel, the site, notebooks or a browser, and a network to install from
#   sh scripts/test.sh smoke          the first of each kind of these, as continuous integration runs them
#   sh scripts/test.sh campaign       the campaign of faults, see CONTRIBUTING.md
#   sh scripts/test.sh ARGUMENTS      only pytest with these: tests/config/test_config.py -k nearest
set -eu
cd "$(dirname "$0")/.."
. scripts/environment.sh

environment requirements-dev
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
python=$VENV/bin/python

case "${1:-}" in
    integrations)
        shift
        exec "$python" -m pytest -m integration "$@" ;;
    smoke)
        shift
        exec "$python" -m pytest -m smoke "$@" ;;
    campaign)
        shift
        exec "$python" scripts/campaign "$@" ;;
    ?*)
        exec "$python" -m pytest "$@" ;;
esac
# A process for each core, up to four; tests of a file stay together, since they share what is compiled.
together="-n auto --maxprocesses 4 --dist loadfile"
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy ldseg
"$python" -m pytest $together
echo "The core once more, on JAX:"
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$python" -m pytest $together -m core
