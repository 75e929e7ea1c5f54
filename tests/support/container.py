"""The image of docker/Dockerfile, built and run by Docker, or by Buildah and Podman: the fixture ``engine``.

``IMAGE=NAME`` takes an image that is there. ``BASE=localhost/NAME`` is made with debootstrap if it is not there.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import Finished
from support.paths import ROOT

BUILDAH = "buildah bud --layers --format docker --isolation chroot --network host"
# A user that the image does not know, on a root file system that cannot be written.
ANY_USER = ("--user=12345:12345", "--read-only", "--tmpfs=/tmp", "--tmpfs=/home/user")


@dataclass(frozen=True)
class Engine:
    """``docker`` or ``podman``, what builds for it, and the image."""

    program: str
    builder: str
    environ: dict[str, str]
    image: str

    def ask(self, *words: str, timeout: float = 300) -> str:
        """What the engine prints; a failure raises with what it said."""
        done = self._execute([self.program, *words], timeout)
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def run(self, options: tuple[str, ...], *words: str, timeout: float = 600) -> Finished:
        """A container that is gone afterward."""
        return self._execute([self.program, "run", "--rm", *options, self.image, *words], timeout)

    def shell(self, script: str) -> str:
        """What a shell in a container prints."""
        done = self.run(("--entrypoint=sh",), "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, folder: Path, file: Path, name: str) -> None:
        """Build a small image from a folder."""
        words = [*self.builder.split(), "-f", str(file), "-t", name, str(folder)]
        done = self._execute(words, 300)
        assert done.returncode == 0, done.stderr

    def _execute(self, words: list[str], timeout: float) -> Finished:
        return subprocess.run(words, env=self.environ, capture_output=True, text=True, timeout=timeout)


def _succeeds(*words: str) -> bool:
    return bool(shutil.which(words[0])) and subprocess.run(words, capture_output=True).returncode == 0


def _podman_settings(folder: Path) -> dict[str, str]:
    """Podman's settings where a sandbox gives no right to raise limits, and has cgroups of both versions."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    # Half: the engine itself may run under lower limits than this process.
    most = {name: min(resource.getrlimit(limit)[1], 1 << 16) // 2 for name, limit in limits.items()}
    ulimits = ", ".join(f'"{name}={value}:{value}"' for name, value in most.items())
    file = folder / "containers.conf"
    file.write_text(
        f'[containers]\ndefault_ulimits = [{ulimits}]\nnetns = "host"\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
        + ('runtime = "runc"\n' if shutil.which("runc") else "")
    )
    return {"CONTAINERS_CONF": str(file)}


def make_engine(folder: Path) -> Engine:
    """What this machine has, with the image built; without either engine the tests are skipped."""
    named = os.environ.get("IMAGE")
    image = named or "localhost/resnet_exp-test"
    if _succeeds("docker", "info"):
        engine = Engine("docker", os.environ.get("BUILDER") or "docker build", dict(os.environ), image)
    elif shutil.which("podman") and shutil.which("buildah"):
        environ = {**os.environ, **_podman_settings(folder)}
        engine = Engine("podman", os.environ.get("BUILDER") or BUILDAH, environ, image)
    else:
        pytest.skip("needs a Docker daemon, or Podman and Buildah: apt-get install buildah podman runc debootstrap")
    if named is None:
        _build(engine)
    return engine


def _build(engine: Engine) -> None:
    base = os.environ.get("BASE", "")
    if base.startswith("localhost/") and not _succeeds(engine.program, "image", "inspect", base):
        subprocess.run([ROOT / "scripts" / "image_base.sh", base], check=True)
    here = " --pull-never" if engine.builder == BUILDAH and base.startswith("localhost/") else ""
    words = ["make", "image", f"IMAGE={engine.image}", f"BUILDER={engine.builder}{here}", f"BASE={base}"]
    # The `make` that runs the tests hands its own words on, such as ARGS.
    environ = {name: value for name, value in engine.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "ARGS")}
    subprocess.run(words, cwd=ROOT, env=environ, check=True)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine of this machine, with the image built."""
    return make_engine(tmp_path_factory.mktemp("engine"))
