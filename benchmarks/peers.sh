#!/usr/bin/env bash
# Make an environment for each loader of others that `benchmarks/data.py --peers` compares with ours: .venv-peers/NAME.
#
#   benchmarks/peers.sh [NAME...]   dali simplejpeg spdl torchcodec (default: all); 1.4 GB, of which DALI is 1.1
#   benchmarks/peers.sh lock        newer versions of all: writes benchmarks/peers/*.lock
#
# Their versions are those of benchmarks/peers/NAME.lock. Python is that of .venv, and torch, for TorchCodec. SPDL needs
# FFmpeg's libraries; with APT=0 or without root they are only named. An environment that could not be made is named
# at the end: exit code 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
uv=.venv/bin/uv
say() { printf 'peers: %s\n' "$*" >&2; }

declare -A modules=([dali]=nvidia.dali [simplejpeg]=cv2,simplejpeg [spdl]=spdl.io,spdl.pipeline [torchcodec]=torchcodec.decoders)
for name in "$@"; do
    [[ $name == lock || ${modules[$name]:-} ]] || {
        say "$name is no peer; use dali, simplejpeg, spdl or torchcodec"
        exit 2
    }
done
[[ -x $uv ]] || {
    say ".venv is missing; run make setup first"
    exit 2
}

lock() {
    local name
    for name in benchmarks/peers/*.in; do
        "$uv" pip compile --quiet --upgrade --universal --generate-hashes --python .venv/bin/python \
            --custom-compile-command 'benchmarks/peers.sh lock' "$name" -o "${name%.in}.lock"
    done
}

# FFmpeg's libraries, which SPDL loads when it is imported.
ffmpeg() {
    ldconfig -p | grep -q libavfilter && ldconfig -p | grep -q libavdevice && return
    local as_root=(env DEBIAN_FRONTEND=noninteractive)
    ((EUID == 0)) || as_root=(sudo -n "${as_root[@]}")
    if [[ ${APT:-1} != 0 ]] && command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        say "installing FFmpeg with apt"
        "${as_root[@]}" apt-get -qq update
        "${as_root[@]}" apt-get -qq install --no-install-recommends -y ffmpeg >/dev/null && return
    fi
    say "spdl needs FFmpeg's libraries: sudo apt-get install ffmpeg"
    return 1
}

make_environment() {
    local name=$1 there=.venv-peers/$1 module=$2
    "$uv" venv --quiet --clear --python .venv/bin/python "$there"
    "$uv" pip sync --quiet --python "$there/bin/python" --require-hashes --only-binary :all: "benchmarks/peers/$name.lock"
    if [[ $name == torchcodec ]]; then
        "$there/bin/python" -c 'import pathlib, sysconfig; here = sysconfig.get_paths()["purelib"]; \
below = here.replace(".venv-peers/torchcodec", ".venv"); \
pathlib.Path(here, "below.pth").write_text(f"import site; site.addsitedir({below!r})")'
    fi
    [[ $name != spdl ]] || ffmpeg
    "$there/bin/python" -c "import $module"
}

[[ ${1:-} != lock ]] || {
    lock
    exit
}
(($#)) || set -- dali simplejpeg spdl torchcodec
failed=()
for name in "$@"; do
    # In a shell of its own, in which the first step that fails ends it.
    if bash -euo pipefail -c "$(declare -f say ffmpeg make_environment); uv=$uv; make_environment $name ${modules[$name]}"; then
        say "$name is ready"
    else
        rm -rf ".venv-peers/$name"
        failed+=("$name")
    fi
done
((${#failed[@]} == 0)) || {
    say "could not be made: ${failed[*]}"
    exit 1
}
