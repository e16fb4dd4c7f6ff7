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
"$python" -m ruff check .
"$python" -m ruff format --check .

# Side by side, so that no core waits for the others: the types, the core on JAX, and all tests on TensorFlow. What the first two
# say is shown when they are done.
told=$(mktemp -d)
"$python" -m mypy ldseg > "$told/types" 2>&1 &
types=$!
core=$(grep -rl --include='test_*.py' 'mark\.core' tests)  # to import all files takes longer than to look for these
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$python" -m pytest -m "core and not once" $core > "$told/jax" 2>&1 &
jax=$!
trap 'kill "$types" "$jax" 2>/dev/null || true; rm -rf "$told"' EXIT
trap 'exit 130' INT TERM

failed=0
# A process for each core, up to four. Tests of a file stay together, since they share what is compiled; tests/conftest.py says
# which files come first.
"$python" -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder || failed=1
echo "Types:"
wait "$types" || failed=1
cat "$told/types"
echo "The core once more, on JAX:"
wait "$jax" || failed=1
cat "$told/jax"
exit "$failed"
