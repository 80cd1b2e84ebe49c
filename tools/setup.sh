#!/usr/bin/env bash
# Find a Python that will do and let tools/setup.py do the rest.
set -eu
cd "$(dirname "$0")/.."

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null
}

for python in ${PYTHON:-} python3 python3.11 python3.12 .venv/bin/python; do
    if command -v "$python" >/dev/null && usable "$python"; then
        exec "$python" tools/setup.py
    fi
done
found=$(command -v python3 >/dev/null && python3 -V 2>&1 || echo none)
echo "setup: needs Python 3.11 or 3.12 with its venv module (Debian: python3.11-venv), found: $found" >&2
exit 1
