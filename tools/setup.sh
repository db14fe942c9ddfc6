#!/bin/sh
# make setup: a virtual environment in .venv with exactly what requirements.lock names, and the members of the
# workspace on top. Needs a Python 3.11 or newer and nothing else. Every failure is one line.
set -u

log=.state/setup.log

stop() {
    echo "setup: $1" >&2
    exit 1
}

failed() {
    if grep -qsE 'No space left|Errno 28|Disk quota' "$log"; then
        stop "the disk is full ($(df -Pk . | awk 'NR == 2 {print int($4 / 1024)}') MB free here, about 1200 MB are needed)"
    fi
    if grep -qsE 'ensurepip|No module named venv' "$log"; then
        stop "this Python cannot make virtual environments: install its venv package (Debian: python3-venv)"
    fi
    if grep -qsE 'Permission denied|Read-only file system' "$log"; then
        stop "$(pwd) cannot be written to"
    fi
    reason=$(grep -E '^ *(ERROR|error)' "$log" | head -n 1)
    stop "$1 (${reason:-no reason given}); the whole output is in $log"
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

mkdir -p .state 2>/dev/null || stop "$(pwd) cannot be written to, or the disk is full"
{ : >"$log"; } 2>/dev/null || stop "$(pwd)/.state cannot be written to, or the disk is full"

if [ ! -x .venv/bin/python ] || ! new_enough .venv/bin/python; then
    found=
    for candidate in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.14; do
        if new_enough "$candidate"; then
            found=$candidate
            break
        fi
    done
    [ -n "$found" ] || stop "needs Python 3.11 or newer; found none (PYTHON=/path/to/python3.11 names one)"
    rm -rf .venv
    "$found" -m venv .venv >>"$log" 2>&1 || failed "the virtual environment could not be made"
fi

echo "setup: installing what requirements.lock names (about a minute the first time)"
# The lock names everything, so nothing is looked up: pip would take a newer coverage[toml] than the coverage that is locked.
.venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --no-deps --require-hashes -r requirements.lock >>"$log" 2>&1 || failed "the locked packages could not be installed"

editable=
for member in $MEMBERS; do
    editable="$editable -e $member"
done
# uv_build is the members' build back end and has to be found on PATH when builds are not isolated
# shellcheck disable=SC2086
PATH="$(pwd)/.venv/bin:$PATH" .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --no-deps --no-build-isolation $editable >>"$log" 2>&1 || failed "the workspace's own packages could not be installed"
