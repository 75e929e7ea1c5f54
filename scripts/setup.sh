#!/usr/bin/env bash
# Bring .venv up to date with requirements.lock and pyproject.toml.
#
#   PYTHON=...  interpreter to build .venv with (default: the first supported one on PATH)
#   APT=0       never install system packages, only say which are missing
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

stamp=.venv/.setup-stamp
say() { printf 'setup: %s\n' "$*" >&2; }
refuse() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# "VERSION@PLACE DIGEST". PLACE stands for the checkout's path, which scripts in .venv/bin hold; DIGEST for
# the files that say what goes into .venv.
probe() {
    "$1" - 2>/dev/null <<'PY'
import hashlib, os, sys
place = hashlib.sha256(os.getcwd().encode()).hexdigest()[:12]
digest = hashlib.sha256()
for name in ("requirements.lock", "pyproject.toml", "scripts/setup.sh"):
    with open(name, "rb") as file:
        digest.update(file.read())
print("%d.%d.%d@%s %s" % (tuple(sys.version_info[:3]) + (place, digest.hexdigest())))
PY
}

# Sets python and key to the first supported interpreter.
choose_python() {
    local candidates=(python3 python3.12 python3.11 python3.10) found="" candidate
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
        case $key in
            3.10.* | 3.11.* | 3.12.*)
                python=$candidate
                return
                ;;
        esac
        found+="${found:+, }$candidate is ${key%%@*}"
    done
    refuse "needs Python 3.10, 3.11 or 3.12 (found: ${found:-none}); install one and name it: make setup PYTHON=/path/to/python3.11"
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
        requirements.lock
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
    # Without a stamp, .venv is missing, incomplete or not ours; with another interpreter or path it does not
    # work. Either way it is rebuilt, which uv's cache makes cheap.
    if [[ -s $stamp && $(<"$stamp") == "${key%% *} "* ]] && .venv/bin/python -c '' 2>/dev/null; then
        rm -f "$stamp"
    else
        say "making .venv with Python ${key%%@*}"
        rm -f "$stamp"
        "$python" -m venv --clear .venv
    fi

    # uv comes first, and with it what builds source distributions: they are built without isolation,
    # so that even their build tools are the locked ones.
    locked uv setuptools wheel packaging >.venv/bootstrap.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --require-hashes --only-binary :all: -r .venv/bootstrap.txt

    say "installing requirements.lock"
    # Compiled once here, not by each process: a cluster may start many at a time, or forbid them to write.
    "$uv" pip sync --python .venv/bin/python --require-hashes --no-build-isolation --compile-bytecode \
        requirements.lock
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

choose_python
if ! up_to_date; then
    exec 9>.venv.lock
    if command -v flock >/dev/null; then
        flock -n 9 || {
            say "waiting for another set-up of this checkout"
            flock 9
        }
        # The other set-up may have done the work, or replaced the interpreter chosen above.
        choose_python
    fi
    if ! up_to_date; then
        system_packages
        build
        printf '%s\n' "$key" >"$stamp.new"
        mv "$stamp.new" "$stamp"
        say "ready"
    fi
fi
