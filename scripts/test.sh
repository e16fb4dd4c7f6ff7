#!/bin/sh
# Set up what the tests need and run the checks and tests: sh scripts/test.sh
#   sh scripts/test.sh jax            the core once more, on JAX
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

# A process for each core, up to four. Tests of a file stay together, since they share what is compiled; tests/conftest.py says
# which files come first.
spread="-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder"

marked() { grep -rl --include='test_*.py' "mark\.$1" tests; }  # to import all files takes longer than to look for these

case "${1:-}" in
    jax)
        shift
        exec env KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$python" -m pytest $spread -m "core and not once" $(marked core) "$@" ;;
    integrations)
        shift
        exec "$python" -m pytest -m integration "$@" ;;
    smoke)
        shift
        exec "$python" -m pytest $spread -m smoke $(marked smoke) "$@" ;;
    campaign)
        shift
        exec "$python" scripts/campaign "$@" ;;
    ?*)
        exec "$python" -m pytest "$@" ;;
esac
"$python" -m ruff check .
"$python" -m ruff format --check .

# Side by side, so that no core waits for the other. What the types come to is shown when they are done.
told=$(mktemp)
"$python" -m mypy ldseg > "$told" 2>&1 &
types=$!
trap 'kill "$types" 2>/dev/null || true; rm -f "$told"' EXIT
trap 'exit 130' INT TERM

failed=0
"$python" -m pytest $spread || failed=1
echo "Types:"
wait "$types" || failed=1
cat "$told"
exit "$failed"
