#!/usr/bin/env bash
# Install a wheel as a user does, with its run lock, into a new environment, and train the main job there for three epochs.
#   scripts/try_wheel.sh WHEEL STACK PYTHON...      such as dist/resnet_exp-0.1.0-py3-none-any.whl new python3.12 python3.13
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wheel=$(realpath "$1") stack=$2
shift 2
case $stack in new) lock=requirements-run.lock ;; *) lock=requirements-run-$stack.lock ;; esac
uv=$root/.venv/bin/uv

for python; do
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$uv" venv --quiet --python "$python" "$folder/venv"
    export VIRTUAL_ENV=$folder/venv
    "$uv" pip sync --quiet --require-hashes "$root/$lock"
    "$uv" pip install --quiet --no-deps "$wheel"
    cd "$folder"
    XDG_CACHE_HOME=$folder/cache venv/bin/resnet_exp recipe=hot ssr=0.0334 >log 2>&1 || { tail -20 log; exit 1; }
    venv/bin/python - "$stack" <<'END'
import glob, json, platform, sys, torch
(path,) = glob.glob("runs/*/result.json")
result = json.load(open(path))
print(f"{platform.python_version()} {sys.argv[1]}: torch {torch.__version__}, {result['epochs']} epochs, top-1 {result['top1']:.2%}")
END
    cd "$root"
    rm -rf "$folder"
done
