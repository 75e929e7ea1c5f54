#!/usr/bin/env bash
# Bring .venv up to date with the lock of its stack and pyproject.toml.
#
#   STACK=new|cuda12  new: today's torch with CUDA 13, requirements.lock; cuda12: Composer's own pins, torch 2.7 with
#                     CUDA 12.6, requirements-cuda12.lock (default: that of .venv, else by the NVIDIA driver)
#   PYTHON=...        interpreter to build .venv with (default: the first supported one on PATH)
#   APT=0             never install system packages, only say which are missing
#
# Exit codes: 0 ready, 2 something on this machine is missing (named on stderr), 1 a step failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A PYTHONPATH set for other software would leak its packages into the builds below.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Nor may a personal "always --user" steer pip out of .venv.
export PIP_USER=0
export UV_PYTHON_DOWNLOADS=never
# The CUDA wheels are gigabytes; uv's own 30 s between bytes is short on a slow link.
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}

# The oldest driver that runs CUDA 13 (release notes of the CUDA Toolkit).
cuda13_driver=580
stamp=.venv/.setup-stamp
say() { printf 'setup: %s\n' "$*" >&2; }
refuse() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# "VERSION@PLACE". PLACE stands for the checkout's path, which scripts in .venv/bin hold.
probe() {
    "$1" - 2>/dev/null <<'PY'
import hashlib, os, sys
print("%d.%d.%d@%s" % (tuple(sys.version_info[:3]) + (hashlib.sha256(os.getcwd().encode()).hexdigest()[:12],)))
PY
}

# Stands for the files that say what goes into .venv.
digest() {
    "$python" - "$lock" <<'PY'
import hashlib, sys
digest = hashlib.sha256()
for name in (sys.argv[1], "pyproject.toml", "scripts/setup.sh"):
    with open(name, "rb") as file:
        digest.update(file.read())
print(digest.hexdigest())
PY
}

# The version of the NVIDIA driver; nothing where there is none.
driver() {
    local found=""
    if command -v nvidia-smi >/dev/null; then
        found=$(timeout 20 nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null) || found=""
    fi
    [[ $found =~ ^[0-9]+\. ]] || found=$(cat /sys/module/nvidia/version 2>/dev/null) || found=""
    [[ $found =~ ^[0-9]+\. ]] && printf '%s\n' "${found%%$'\n'*}"
}

# Sets stack, lock, minors (supported versions of Python) and why: what is asked for, then what .venv has (a login
# node may have no GPU), then what the driver can run.
choose_stack() {
    local found kept
    [[ ! -s $stamp ]] || read -r _ kept _ <"$stamp"
    if [[ -n ${STACK:-} ]]; then
        stack=$STACK why="as asked"
    elif [[ ${kept:-} == new || ${kept:-} == cuda12 ]]; then
        stack=$kept why="that of .venv"
    elif ! found=$(driver); then
        stack=new why="there is no NVIDIA driver"
    elif ((${found%%.*} >= cuda13_driver)); then
        stack=new why="NVIDIA driver $found"
    else
        stack=cuda12 why="NVIDIA driver $found is older than CUDA 13 needs, $cuda13_driver"
    fi
    describe_stack
}

describe_stack() {
    case $stack in
        new) lock=requirements.lock minors="11 12 13 14" torch="today's torch, CUDA 13" ;;
        cuda12) lock=requirements-cuda12.lock minors="10 11 12" torch="torch 2.7, CUDA 12.6" ;;
        *) refuse "STACK=$stack is unknown; use STACK=new or STACK=cuda12" ;;
    esac
}

# Sets python and key to the first interpreter that the stack supports, else found to what there is.
choose_python() {
    local candidates=(python3) candidate minor
    found=""
    for minor in $minors; do candidates=("${candidates[0]}" "python3.$minor" "${candidates[@]:1}"); done
    if [[ -n ${PYTHON:-} ]]; then
        candidates=("$PYTHON")
    elif [[ -s $stamp ]]; then
        candidates=(.venv/bin/python "${candidates[@]}")
    fi
    for candidate in "${candidates[@]}"; do
        if ! key=$(probe "$candidate"); then
            [[ $candidate != "${PYTHON:-}" ]] || found="$candidate, which does not run"
            continue
        fi
        minor=${key#3.} minor=${minor%%.*}
        if [[ $key == 3.* && " $minors " == *" $minor "* ]]; then
            python=$candidate
            key="$key $stack $(digest)"
            return 0
        fi
        found+="${found:+, }$candidate is ${key%%@*}"
    done
    return 1
}

choose() {
    choose_stack
    choose_python && return
    local problem="STACK=$stack ($why) needs Python 3.${minors// /, 3.} (found: ${found:-none})"
    if [[ -z ${STACK:-} && $stack == new ]]; then
        # The Python of older distributions; every driver that runs CUDA 13 runs CUDA 12 too.
        stack=cuda12 why="no Python 3.11 or later was found"
        describe_stack
        choose_python && return
    fi
    refuse "$problem; install one and name it: make setup PYTHON=/path/to/python3.12"
}

up_to_date() { [[ -s $stamp && $(<"$stamp") == "$key" && -x .venv/bin/python ]]; }

# Prints what FFCV's build and .venv lack, one word each.
lacking() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo venv
    "$python" -c 'import os, sysconfig as s; os.stat(os.path.join(s.get_paths()["include"], "Python.h"))' \
        2>/dev/null || echo headers
    local cxx=${CXX:-g++}
    command -v "${cxx%% *}" >/dev/null || echo compiler
    command -v pkg-config >/dev/null || echo pkg-config
    pkg-config --exists opencv4 2>/dev/null || echo opencv
    pkg-config --exists libturbojpeg 2>/dev/null || echo turbojpeg
}

# Package names for the needs given, by package manager.
packages() {
    local manager=$1 minor=${key%%@*} need
    minor=${minor%.*}
    shift
    for need in "$@"; do
        case $manager:$need in
            apt:venv) echo "python$minor-venv" ;;
            apt:headers) echo "python$minor-dev" ;;
            apt:compiler) echo g++ ;;
            apt:pkg-config) echo pkg-config ;;
            apt:opencv) echo libopencv-dev ;;
            apt:turbojpeg) echo libturbojpeg0-dev ;;
            dnf:venv) echo "python$minor" ;;
            dnf:headers) echo "python$minor-devel" ;;
            dnf:compiler) echo gcc-c++ ;;
            dnf:pkg-config) echo pkgconf-pkg-config ;;
            dnf:opencv) echo opencv-devel ;;
            dnf:turbojpeg) echo turbojpeg-devel ;;
            conda:venv | conda:headers) echo "python=$minor" ;;
            conda:compiler) echo cxx-compiler ;;
            conda:pkg-config) echo pkg-config ;;
            conda:opencv) echo opencv ;;
            conda:turbojpeg) echo libjpeg-turbo ;;
        esac
    done | sort -u | paste -sd ' ' -
}

install_with_apt() {
    local as_root=() log status=0
    [[ ${APT:-1} != 0 ]] && command -v apt-get >/dev/null || return 1
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    local apt=(${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    log=$(mktemp)
    say "installing with apt: $*"
    # One unreachable third-party list must not block the others. The set-up lock (descriptor 9) is closed
    # for apt, whose hooks may leave daemons running that would hold it.
    "${apt[@]}" update >"$log" 2>&1 9>&- || say "apt-get update failed; going on with the lists there are"
    "${apt[@]}" install --no-install-recommends -y "$@" >>"$log" 2>&1 9>&- </dev/null || status=$?
    ((status == 0)) || tail -n 20 "$log" >&2
    rm -f "$log"
    return "$status"
}

system_packages() {
    local needs names
    mapfile -t needs < <(lacking)
    ((${#needs[@]})) || return 0
    read -ra names < <(packages apt "${needs[@]}")
    if install_with_apt "${names[@]}"; then
        mapfile -t needs < <(lacking)
        ((${#needs[@]})) || return 0
    fi
    refuse "this machine lacks: ${needs[*]}. Install with one of these, then run make again:
  sudo apt-get install $(packages apt "${needs[@]}")
  sudo dnf install $(packages dnf "${needs[@]}")
  conda install -c conda-forge $(packages conda "${needs[@]}")"
}

# The lock's entries, hashes and all, of the packages named.
locked() {
    awk -v names=" $* " '/^[a-z0-9]/ { split($1, part, "=="); keep = index(names, " " part[1] " ") } keep' \
        "$lock"
}

ffcv_loads() {
    .venv/bin/python - 2>/dev/null <<'PY'
import ctypes, glob, sysconfig
(library,) = glob.glob(sysconfig.get_paths()["platlib"] + "/ffcv/_libffcv*.so")
ctypes.CDLL(library)
PY
}

build() {
    local uv=.venv/bin/uv
    say "$lock: $torch ($why)"
    # Without a stamp, .venv is missing, incomplete or not ours; with another interpreter or path it does not
    # work. Either way it is rebuilt, which uv's cache makes cheap.
    if [[ -s $stamp && $(<"$stamp") == "${key% *} "* ]] && .venv/bin/python -c '' 2>/dev/null; then
        rm -f "$stamp"
    else
        say "making .venv with Python ${key%%@*}"
        rm -f "$stamp"
        "$python" -m venv --clear .venv
    fi

    # uv comes first, and with it what builds source distributions: they are built without isolation,
    # so that even their build tools are the locked ones.
    locked uv setuptools wheel packaging >.venv/bootstrap.txt
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --progress-bar off \
        --require-hashes --only-binary :all: -r .venv/bootstrap.txt |
        awk '/^ *Downloading .*[.]whl \(/ { sub(".*/", "", $2); print "setup: downloading", $2, $3, $4 }' >&2

    # Compiled once here, not by each process: a cluster may start many at a time, or forbid them to write.
    .venv/bin/python scripts/sync.py "$uv" pip sync --python .venv/bin/python --require-hashes \
        --no-build-isolation --compile-bytecode "$lock"
    if ! ffcv_loads; then
        # A build kept in uv's cache is bound to the system libraries of its day.
        say "rebuilding FFCV for this system's libraries"
        locked ffcv >.venv/ffcv.txt
        "$uv" pip install --python .venv/bin/python --require-hashes --no-deps --no-build-isolation \
            --refresh-package ffcv --reinstall-package ffcv -r .venv/ffcv.txt
        ffcv_loads || {
            say "FFCV was built but does not load: .venv/bin/python -c 'import ffcv' says why"
            exit 1
        }
    fi
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
}

choose
if ! up_to_date; then
    exec 9>.venv.lock
    if command -v flock >/dev/null; then
        flock -n 9 || {
            say "waiting for another set-up of this checkout"
            flock 9
        }
        # The other set-up may have done the work, or replaced the interpreter chosen above.
        choose
    fi
    if ! up_to_date; then
        system_packages
        build
        printf '%s\n' "$key" >"$stamp.new"
        mv "$stamp.new" "$stamp"
        say "ready"
    fi
fi
