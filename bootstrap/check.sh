#!/bin/sh
# Name what is missing before anything is set up: Python 3.11 or newer ($1). Java is for the engine `spark` alone.
set -u

fail() {
    printf 'fruits: %s\n' "$1" >&2
    exit 2
}

python=${1:-python3}
"$python" -c '' >/dev/null 2>&1 ||
    fail "Python 3.11 or newer is needed, and '$python' was not found, or does not run. Install it (Debian, Ubuntu: python3 python3-venv; macOS: python@3.12), or name yours: make PYTHON=/path/to/python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed; '$python' is $("$python" --version 2>&1). Install a newer one, or name yours: make PYTHON=/path/to/python3.12"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "Python's venv module is missing. Install it (Debian, Ubuntu: python3-venv)."
