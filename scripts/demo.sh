#!/bin/sh
# Set up what LDSeg needs and run it: sh scripts/demo.sh [arguments of LDSeg.py]
# Without arguments it segments the samples in data/GlaS/Image with the settings of cfg.ini.
set -eu
cd "$(dirname "$0")/.."
. scripts/environment.sh

environment requirements
exec "$VENV/bin/python" LDSeg.py "$@"
