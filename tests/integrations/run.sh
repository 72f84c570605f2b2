#!/bin/sh
# The integrations, each with its host and as docs/integrations.md shows it, in an environment that has all hosts: some
# 3 GB, which are kept until what pyproject.toml asks for, or the Python, is another. Nothing is asked of the network but
# packages; where there are none to be had, one line says so and the exit code is 0, or with REQUIRED=1 another.
#
#   PYTHON    makes the environment
#   HOSTS     where it is; it may be outside of the clone and serve several, one after the other
#   SCRIPTS   where an environment has its programs
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
HOSTS=${HOSTS:-.venv-integrations}
SCRIPTS=${SCRIPTS:-bin}

skip() {
    echo "SKIPPED test-integrations: $1" >&2
    [ -z "${REQUIRED:-}" ] || exit 1
    exit 0
}

mkdir -p "$(dirname "$HOSTS")"
if command -v flock >/dev/null; then # another clone may be making it
    exec 9>"$HOSTS.lock"
    flock 9
fi

key=$("$PYTHON" -c '
import hashlib, sys, tomllib
with open("pyproject.toml", "rb") as stream:
    told = tomllib.load(stream)
project, groups = told["project"], told["dependency-groups"]
asked = [project["dependencies"], project["optional-dependencies"]["export"], groups["integrations"]]
asked += [sys.version, sys.prefix]
print(hashlib.sha256(repr(asked).encode()).hexdigest())')

if [ "$(cat "$HOSTS/made-of" 2>/dev/null)" != "$key" ]; then
    if [ -e "$HOSTS" ] && [ ! -f "$HOSTS/pyvenv.cfg" ]; then
        echo "$HOSTS is there and is no environment: name another with HOSTS=" >&2
        exit 1
    fi
    rm -rf "$HOSTS"
    "$PYTHON" -m venv "$HOSTS"
    pip() {
        "$HOSTS/$SCRIPTS/python" -m pip install --quiet --disable-pip-version-check "$@"
    }
    # The first asks whether there are packages to be had at all; what fails after it is a fault.
    pip --retries 1 --force-reinstall --no-deps "pip>=25.1" || {
        rm -rf "$HOSTS"
        skip "no package index can be reached, and $HOSTS is not there"
    }
    pip torch==2.13.0 # first, as everywhere
    pip --editable ".[export]" --group integrations # a reranker for the tests is exported there
    echo "$key" >"$HOSTS/made-of"
fi

# This clone's own, whichever one the environment was made by; warnings of hosts are theirs. A test that stands still, as
# one did once on a loaded machine, ends the run with the stacks of all threads: the longest takes seconds.
PYTHONPATH=$PWD/runtime:$PWD/model:$PWD/export "$HOSTS/$SCRIPTS/python" -m pytest -q --confcutdir tests/integrations \
    -o filterwarnings=default -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true tests/integrations
