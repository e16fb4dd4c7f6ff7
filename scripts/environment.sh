# Sourced by the other scripts: sets up the virtual environment that they run in.
# VENV names its folder (.venv in the root of the repository where it is not set).

VENV=${VENV:-.venv}

# Print the name of a Python that LDSeg runs on. A name on the PATH may be a mere stub, so each one is run.
find_python() {
    for name in python3.11 python3 python3.12 python3.13; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    echo "LDSeg needs Python 3.11, 3.12 or 3.13; python3 here is: $(python3 -V 2>&1)" >&2
    return 1
}

# environment NAME: make $VENV if it is missing, and install NAME.txt into it unless that is what was installed last.
environment() {
    if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        python=$(find_python) || return 1
        echo "Making a virtual environment in $VENV with $("$python" -V) ..." >&2
        clear=
        if [ -f "$VENV/pyvenv.cfg" ]; then clear=--clear; fi  # the rest of one that was broken off
        "$python" -m venv $clear "$VENV" || return 1
    fi
    stamp=$VENV/.installed-$1
    if ! cat requirements*.txt | cmp -s - "$stamp"; then
        echo "Installing $1.txt into $VENV: several hundred MB the first time, some minutes ..." >&2
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1.txt" || return 1
        # The command ldseg, and the package as it stands in this clone.
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable . || return 1
        cat requirements*.txt > "$stamp"
    fi
}
