"""The set-up half: lock, Makefile, scripts/setup.sh and .ci/run."""

import fcntl
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hatchling.metadata.core import ProjectMetadata
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
# Each lock with the versions of Python that it is for.
LOCKS = {
    "requirements.lock": ("3.11", "3.12", "3.13", "3.14"),
    "requirements-cuda12.lock": ("3.10", "3.11", "3.12"),
}
STAMP = ROOT / ".venv" / ".setup-stamp"

# What a surrounding `make test` hands down would steer the make calls under test.
CLEAN_ENV = {
    name: value
    for name, value in os.environ.items()
    if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "STACK", "RUNS_DIR", "ARGS", "APT"}
}


def call(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=CLEAN_ENV | env, capture_output=True, text=True, timeout=300, check=False
    )


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def lock_entries(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Yield each requirement of a lock with its hashes."""
    text = (ROOT / name).read_text()
    for entry in re.sub(r"\\\n", "", re.sub(r"(?m)^ *#.*", "", text)).split("\n"):
        if entry:
            spec, *hashes = entry.split("--hash=")
            yield Requirement(spec.strip()), [value.strip() for value in hashes]


def direct_dependencies() -> list[Requirement]:
    project = ProjectMetadata(str(ROOT), None).config
    return [Requirement(spec) for spec in project["project"]["dependencies"] + project["dependency-groups"]["dev"]]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that set-up reads, and nothing else."""
    copy = tmp_path / "checkout"
    (copy / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", *LOCKS, "scripts/setup.sh", "scripts/sync.py"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH folder with coreutils, awk and Python, but no compiler, pkg-config, apt or sudo."""
    folder = tmp_path / "bare-bin"
    folder.mkdir()
    for tool in ("awk", "bash", "cat", "dirname", "env", "flock", "mv", "paste", "rm", "sort"):
        found = shutil.which(tool)
        if found is not None:
            (folder / tool).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    return folder


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashes_and_names_no_place(lock: str) -> None:
    entries = list(lock_entries(lock))
    assert len(entries) > 100
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), requirement
    for name in (lock, lock.replace(".lock", ".in"), "pyproject.toml", "Makefile", "scripts/setup.sh"):
        text = (ROOT / name).read_text()
        assert not re.search(r"\w://|--(extra-)?index|find-links", text), name


@pytest.mark.parametrize(("lock", "python"), [(lock, python) for lock, pythons in LOCKS.items() for python in pythons])
def test_lock_satisfies_pyproject(lock: str, python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    pins: dict[str, Requirement] = {}
    for requirement, _ in lock_entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert canonical(requirement.name) not in pins, f"two pins of {requirement.name}"
            pins[canonical(requirement.name)] = requirement
    for wanted in direct_dependencies():
        (pin,) = pins[canonical(wanted.name)].specifier
        assert wanted.specifier.contains(pin.version), wanted
    assert "opencv-python" not in pins, "needs libGL; opencv-python-headless stands in"


def test_make_run_passes_its_variables_on() -> None:
    plain = call("make", "-n", "run").stdout.splitlines()[-1]
    assert plain.split() == [".venv/bin/python", "-m", "resnet_exp", "recipe=hot", "ssr=0.5"]
    steered = call("make", "-n", "run", "RUNS_DIR=/some where/x", "ARGS=seed=3 dry=true").stdout.splitlines()[-1]
    assert steered.split(maxsplit=5)[5] == "'runs_dir=/some where/x' seed=3 dry=true"


def test_make_without_goal_lists_every_target() -> None:
    targets = re.findall(r"(?m)^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text())
    assert {"setup", "run", "test", "lint", "format", "lock", "wheel", "clean"} < set(targets)
    listed = call("make").stdout
    for target in targets:
        assert re.search(rf"(?m)^  make {target} +\w", listed), target
    assert "RUNS_DIR=" in listed
    assert "PYTHON=" in listed


def cpu_seconds() -> float:
    """What processes have spent that were waited for; unlike the time that passes, it does not grow with the load."""
    spent = os.times()
    return spent.children_user + spent.children_system


@pytest.mark.skipif(not STAMP.exists(), reason="this checkout was not set up by make")
def test_second_setup_does_nothing() -> None:
    assert call("make", "setup").returncode == 0
    before = (STAMP.stat().st_mtime_ns, (ROOT / ".venv/pyvenv.cfg").stat().st_mtime_ns)
    began = cpu_seconds()
    done = call("make", "setup")
    assert cpu_seconds() - began < 2
    assert (done.returncode, done.stderr) == (0, "")
    assert (STAMP.stat().st_mtime_ns, (ROOT / ".venv/pyvenv.cfg").stat().st_mtime_ns) == before


def python_of_version(path: Path, version: str) -> Path:
    """An interpreter that says that it is of a version, and makes no environment."""
    return script(
        path,
        f"""#!/bin/sh
case "$*" in "-m venv "*) exit 1 ;; esac
exec '{sys.executable}' -c 'import sys
sys.version_info = ({version.replace(".", ", ")})
del sys.argv[0]
exec(sys.stdin.read())' "$@"
""",
    )


DRIVERS = [
    # STACK, driver, Python, and what is said of the choice.
    ("", "580.65.06", "3.11.7", "requirements.lock: today's torch, CUDA 13 (NVIDIA driver 580.65.06)"),
    ("", None, "3.13.0", "requirements.lock: today's torch, CUDA 13 (there is no NVIDIA driver)"),
    (
        "",
        "550.54.14\n550.54.14",
        "3.12.1",
        "requirements-cuda12.lock: torch 2.7, CUDA 12.6 (NVIDIA driver 550.54.14 is",
    ),
    ("", "No devices were found", "3.14.0", "requirements.lock: today's torch, CUDA 13 (there is no NVIDIA driver)"),
    ("", None, "3.10.13", "requirements-cuda12.lock: torch 2.7, CUDA 12.6 (no Python 3.11 or later was found)"),
    ("cuda12", "580.65.06", "3.11.7", "requirements-cuda12.lock: torch 2.7, CUDA 12.6 (as asked)"),
    ("new", "550.54.14", "3.11.7", "requirements.lock: today's torch, CUDA 13 (as asked)"),
]


@pytest.mark.parametrize(("stack", "driver", "python", "said"), DRIVERS)
def test_the_driver_chooses_the_stack(
    checkout: Path, bare_path: Path, tmp_path: Path, stack: str, driver: str | None, python: str, said: str
) -> None:
    for tool in ("g++", "pkg-config"):
        script(bare_path / tool, "#!/bin/sh\nexit 0\n")
    (bare_path / "timeout").symlink_to(shutil.which("timeout") or "")
    if driver is not None:
        script(bare_path / "nvidia-smi", f"#!/bin/sh\nprintf '{driver}\n'\n")
    fake = python_of_version(tmp_path / "python", python)
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path), PYTHON=str(fake), STACK=stack)
    assert f"setup: {said}" in done.stderr.splitlines()[0] + "\n", done.stderr


def test_the_stack_of_an_environment_stays_until_another_is_asked_for(checkout: Path, tmp_path: Path) -> None:
    stamp = checkout / ".venv" / ".setup-stamp"
    stamp.parent.mkdir()
    stamp.write_text("3.12.1@place cuda12 digest\n")
    fake = python_of_version(tmp_path / "python", "3.13.0")
    done = call("make", "setup", f"PYTHON={fake}", cwd=checkout)
    assert done.returncode == 2
    assert f"STACK=cuda12 (that of .venv) needs Python 3.10, 3.11, 3.12 (found: {fake} is 3.13.0)" in done.stderr


def test_an_unknown_stack_is_refused(checkout: Path) -> None:
    done = call("make", "setup", "STACK=cuda11", cwd=checkout)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "setup: STACK=cuda11 is unknown; use STACK=new or STACK=cuda12",
    )


@pytest.mark.parametrize("version", ["3.9.18", "3.15.0"])
def test_unsupported_python_is_refused_in_one_line(checkout: Path, tmp_path: Path, version: str) -> None:
    fake = python_of_version(tmp_path / "python", version)
    done = call("make", "setup", f"PYTHON={fake}", cwd=checkout)
    assert done.returncode == 2
    (line, *_) = said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert f"needs Python 3.11, 3.12, 3.13, 3.14 (found: {fake} is {version})" in line
    assert "PYTHON=" in line
    assert not (checkout / ".venv").exists()


def test_supported_python_is_found_behind_an_unsupported_one(checkout: Path, bare_path: Path) -> None:
    real = f"python3.{sys.version_info.minor}"
    (bare_path / "python3").rename(bare_path / real)
    script(bare_path / "python3", "#!/bin/sh\nexit 127\n")
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path))
    assert "this machine lacks" in done.stderr, "it got past the choice of an interpreter"


def test_missing_system_packages_are_listed_once(checkout: Path, bare_path: Path) -> None:
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path))
    assert done.returncode == 2
    assert done.stderr.count("setup:") == 1
    apt, dnf, conda = done.stderr.splitlines()[1:]
    assert re.search(r"apt-get install .*\bg\+\+ .*libopencv-dev libturbojpeg0-dev pkg-config", apt)
    assert re.search(r"dnf install .*gcc-c\+\+ .*opencv-devel .*turbojpeg-devel", dnf)
    assert re.search(r"conda install -c conda-forge .*cxx-compiler .*libjpeg-turbo .*opencv", conda)
    assert not (checkout / ".venv").exists()


def test_interrupted_setup_starts_afresh(checkout: Path, bare_path: Path) -> None:
    for tool in ("g++", "pkg-config"):
        script(bare_path / tool, "#!/bin/sh\nexit 0\n")
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "half-made").touch()
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path), PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode not in (0, 2), "without packages to install it must fail"
    assert "making .venv" in done.stderr
    assert not (checkout / ".venv" / "half-made").exists()
    assert not (checkout / ".venv" / ".setup-stamp").exists(), "a failed set-up must not pass for a finished one"


def test_interrupted_update_is_not_taken_for_finished(checkout: Path, bare_path: Path) -> None:
    for tool in ("g++", "pkg-config"):
        script(bare_path / tool, "#!/bin/sh\nexit 0\n")
    stub = 'case "$*" in "-m pip "*) exit 1 ;; esac'
    script(checkout / ".venv/bin/python", f"#!/bin/sh\n{stub}\nexec '{sys.executable}' \"$@\"\n")
    version = ".".join(map(str, sys.version_info[:3]))
    place = hashlib.sha256(str(checkout).encode()).hexdigest()[:12]
    stamp = checkout / ".venv/.setup-stamp"
    stamp.write_text(f"{version}@{place} new digest-of-an-older-lock\n")
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path))
    assert done.returncode == 1
    assert "making .venv" not in done.stderr, "an update was to be tried"
    assert not stamp.exists()


def wheel(folder: Path, name: str, held: dict[str, str]) -> Path:
    """A wheel of version 1.0 with the files given."""
    about = f"{name}-1.0.dist-info"
    record = "".join(f"{path},,\n" for path in (*held, f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD"))
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    form = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        files = held | {f"{about}/METADATA": metadata, f"{about}/WHEEL": form, f"{about}/RECORD": record}
        for inside, text in files.items():
            entry = zipfile.ZipInfo(inside)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return path


class Registry(http.server.BaseHTTPRequestHandler):
    """Serves the wheels of a folder as a package index with sizes (PEP 691, 700); pauses within large ones."""

    wheels: ClassVar[Path]
    pause: ClassVar[float] = 1.0

    def do_GET(self) -> None:
        *_, last = self.path.strip("/").split("/")
        found = self.wheels / last
        if found.is_file():
            self.answer("application/octet-stream", found.read_bytes())
            return
        files = [
            {
                "filename": path.name,
                "url": f"/files/{path.name}",
                "size": path.stat().st_size,
                "hashes": {"sha256": sha256(path)},
            }
            for path in self.wheels.glob(f"{last}-*.whl")
        ]
        page = {"meta": {"api-version": "1.1"}, "name": last, "versions": ["1.0"], "files": files}
        self.answer("application/vnd.pypi.simple.v1+json", json.dumps(page).encode())

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        if len(body) > 10**6:
            time.sleep(self.pause)
        self.wfile.write(body[half:])

    def log_message(self, format: str, *args: object) -> None:
        pass


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment for pip and uv to use an index with two wheels: `uv`, which calls the real one, and `large`."""
    Registry.wheels = tmp_path / "wheels"
    Registry.wheels.mkdir()
    real = Path(sys.executable).with_name("uv")
    wheel(Registry.wheels, "uv", {"uv-1.0.data/scripts/uv": f'#!/bin/sh\nexec {real} "$@"\n'})
    wheel(Registry.wheels, "large", {"large.txt": "0" * 3_200_000})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    index = f"http://127.0.0.1:{server.server_port}/simple/"
    yield {
        "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
        "UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache"), "NO_PROXY": "*",
    }  # fmt: skip
    server.shutdown()
    server.server_close()
    thread.join()


def lock_of(*names: str) -> str:
    return "".join(
        f"{name}==1.0 --hash=sha256:{sha256(Registry.wheels / f'{name}-1.0-py3-none-any.whl')}\n" for name in names
    )


def test_setup_says_how_much_it_downloads_before_it_does(
    checkout: Path, bare_path: Path, registry: dict[str, str]
) -> None:
    for tool in ("g++", "pkg-config"):
        script(bare_path / tool, "#!/bin/sh\nexit 0\n")
    (checkout / "requirements.lock").write_text(lock_of("uv", "large"))
    done = call("bash", "scripts/setup.sh", cwd=checkout, PATH=str(bare_path), **registry)
    said = done.stderr.splitlines()
    assert any(line.startswith("setup: downloading uv-1.0-py3-none-any.whl (") for line in said), done.stderr
    size = said.index("setup: requirements.lock: 3 MB to download and unpack, packages: 1 (large 3)")
    assert any(line.startswith("Resolved 2 packages") for line in said[size:]), done.stderr
    assert len(list((checkout / ".venv").rglob("large.txt"))) == 1

    uv, python = checkout / ".venv/bin/uv", checkout / ".venv/bin/python"
    sync = (python, checkout / "scripts/sync.py", "--every", "0.2", uv, "pip", "sync", "--python", python)

    def again(lock: str = "requirements.lock", **env: str) -> list[str]:
        call(uv, "pip", "uninstall", "--python", python, "large", cwd=checkout)
        return call(*sync, lock, cwd=checkout, **registry | env).stderr.splitlines()

    cached = "setup: requirements.lock: nothing to download, uv's cache has all that is not installed yet"
    assert again()[0] == cached
    slow = again(UV_CACHE_DIR=str(checkout / "empty"))
    assert [line for line in slow if re.fullmatch(r"setup: \d MB new in uv's cache", line)], slow
    (checkout / "none.lock").write_text("absent==1.0\n")
    assert again("none.lock")[0] == "setup: none.lock: uv could not say how much there is to download"


@pytest.mark.skipif(shutil.which("flock") is None, reason="set-up does not lock without flock")
def test_concurrent_setups_take_turns(checkout: Path, bare_path: Path) -> None:
    with (checkout / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            ["bash", "scripts/setup.sh"],
            cwd=checkout,
            env=CLEAN_ENV | {"PATH": str(bare_path)},
            stderr=subprocess.PIPE,
            text=True,
        ) as second:
            assert second.stderr is not None
            assert "waiting for another set-up" in second.stderr.readline()
            assert second.poll() is None
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert "this machine lacks" in second.stderr.readline()


@pytest.mark.parametrize(
    ("lint_status", "calls"), [(0, ["lint", "run", "test", "soak", "setup", "run", "test"]), (1, ["lint"])]
)
def test_ci_lints_before_it_tests(tmp_path: Path, lint_status: int, calls: list[str]) -> None:
    log = tmp_path / "log"
    script(
        tmp_path / "bin" / "make",
        f'#!/bin/sh\necho "$PWD $*" >>{log}\n[ "$*" != lint ] || exit {lint_status}\n',
    )
    path = f"{tmp_path / 'bin'}:{CLEAN_ENV['PATH']}"
    assert call(ROOT / ".ci" / "run", cwd=tmp_path, PATH=path).returncode == lint_status
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [[str(ROOT), goal] for goal in calls]
