#!/bin/sh
# Make the virtual environment, or make it again if it cannot be used.
#
#   sh tools/venv.sh .venv
#
# Unusable are: one half-made (Debian's `python3 -m venv` without python3-venv leaves a folder without pip), one
# whose Python is gone, and one that was moved or copied (its scripts name the old place).
set -eu

venv=${1:?folder}
python=${PYTHON:-python3}

sound() {
    "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
        head -n 3 "$venv/bin/pip" 2>/dev/null | grep -qF "$(cd "$venv" && pwd)/bin/"
}

sound && exit 0

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    echo "Siyu Live needs Python 3.11 or newer; '$python' is not one. Name yours: make PYTHON=/path/to/python3" >&2
    exit 1
fi

sh "$(dirname "$0")/debian-packages.sh" demo
rm -rf "$venv"
if ! "$python" -m venv "$venv" >/dev/null 2>&1 || ! sound; then
    rm -rf "$venv"
    echo "'$python -m venv' does not work here. On Debian, as root: apt-get install python3-venv" >&2
    exit 1
fi
