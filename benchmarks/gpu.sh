#!/usr/bin/env bash
# Checks and times everything on one H100 or H200, in at most 8 minutes and without a network.
#
#   benchmarks/gpu.sh --pack DIR          here: put wheels for such a machine into DIR (at most 60 MiB)
#   benchmarks/gpu.sh --wheels DIR        there: install them into an environment of its own, and run
#   benchmarks/gpu.sh                     in a checkout that is set up, with a GPU
#   benchmarks/gpu.sh --rehearse          every part on the CPU, at toy size, in minutes (`make rehearse-gpu`)
#
#   -o DIR         for results.jsonl and what the parts work with (default: $OUT, else gpu-results)
#   --only PART... some of the parts, which --only without one names
#   PYTHON=...     interpreter that has torch 2.11 or later (default: .venv/bin/python, else python3)
#
# Exit codes: 0 all is as it must be, 1 a part failed or found something wrong (the table says which), 2 not started.
# To have `resnet_exp plan` use the results of a GPU, put results.jsonl into benchmarks/results/CARD/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
refuse() {
    printf 'gpu.sh: %s\n' "$*" >&2
    exit 2
}

pack="" wheels="" rest=()
while (($#)); do
    case $1 in
        --pack) pack=${2:?--pack DIR}; shift 2 ;;
        --wheels) wheels=${2:?--wheels DIR}; shift 2 ;;
        -h | --help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) rest+=("$1"); shift ;;
    esac
done

python=${PYTHON:-}
if [[ -z $python ]]; then
    if [[ -z $wheels && -x $root/.venv/bin/python ]]; then python=$root/.venv/bin/python; else python=python3; fi
fi
export PYTHONPATH=$root:$here:$root/tests
if [[ -n $pack ]]; then
    exec "$python" -m gpu.pack "$pack"
fi

if [[ -n $wheels ]]; then
    [[ -d $wheels ]] || refuse "$wheels is not a folder; make it with benchmarks/gpu.sh --pack $wheels"
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
    "$python" -m venv --system-site-packages "$environment" ||
        refuse "$python makes no environment; it needs the package python3-venv"
    # What the machine has stays visible where it is itself an environment.
    site=$("$python" -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))') ||
        refuse "$python has no torch"
    own=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    echo "$site" >"$own/of-the-machine.pth"
    "$environment/bin/python" -m pip install --quiet --no-index --no-deps --ignore-installed "$wheels"/*.whl
    python=$environment/bin/python
fi

if [[ " ${rest[*]} " == *" --rehearse "* ]]; then
    export CUDA_VISIBLE_DEVICES=""
else
    there=$("$python" -c 'import torch; print(torch.cuda.is_available())' 2>/dev/null) || refuse "$python has no torch"
    [[ $there == True ]] || refuse "$python sees no GPU; --rehearse runs every part on the CPU"
fi
"$python" -m gpu "${rest[@]}" # no exec: what is made for this run is removed after it
