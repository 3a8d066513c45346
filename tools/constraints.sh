#!/bin/sh
# Resolve the dependencies of every extra anew, in an environment of their own, and write them down.
#
#   sh tools/constraints.sh constraints.txt
set -eu

target=${1:?file}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet -e '.[dev,load,redis,postgres,fuzz]'
{
    echo "# The versions that siyu-live and its extras (dev, load, redis, postgres, fuzz) are tested with, on Python 3.11."
    echo "# Made by \`make constraints\`, which resolves pyproject.toml anew; run \`make check test\` after it."
    "$scratch/venv/bin/python" -m pip freeze --exclude-editable
} >"$scratch/constraints.txt"
cp "$scratch/constraints.txt" "$target"
