"""A real sshd on this machine, as the login node of a cluster: the fixture ``ssh_host``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from support.ports import unused_port

PROGRAMS = {"sshd": "openssh-server", "ssh": "openssh-client", "rsync": "rsync"}
PATH = f"{os.environ['PATH']}:/usr/sbin"


@dataclass(frozen=True)
class SshHost:
    """``login`` for the ssh of `environ`."""

    folder: Path
    port: int
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which ssh knows ``login``: ssh reads no configuration but this one."""
        return {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}

    def start(self, **there: str) -> None:
        """Start sshd; `there` are variables of commands."""
        known = " ".join(f'{name}="{value}"' for name, value in there.items())
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/me.pub\nStrictModes no\nPermitRootLogin yes\nMaxSessions 50\n"
            f"{f'SetEnv {known}' if known else ''}\n"
        )
        program = shutil.which("sshd", path=PATH)
        assert program is not None
        with (self.folder / "sshd.log").open("ab") as log:
            line = [program, "-D", "-e", "-f", str(config)]
            sshd = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
        self.servers.append(sshd)
        end = time.monotonic() + 30
        while not self._answers():
            assert sshd.poll() is None and time.monotonic() < end, (self.folder / "sshd.log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End what was started, with all sessions: they are in its session."""
        for server in self.servers:
            for process in [*psutil.Process(server.pid).children(recursive=True), server]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            server.wait()
        self.servers.clear()


def _needs_programs() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=PATH) is None]
    if missing and os.getuid() == 0 and shutil.which("apt-get"):
        line = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *missing]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(line, env=environ, stdin=subprocess.DEVNULL, capture_output=True)
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"a login node needs root and {', '.join(PROGRAMS)}")


@pytest.fixture
def ssh_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """A host that is down until it is started; ended with all of its sessions."""
    _needs_programs()
    folder = tmp_path_factory.mktemp("ssh")
    for key in ("host", "me"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    with unused_port() as port:
        yield from _host(folder, port)


def _host(folder: Path, port: int) -> Iterator[SshHost]:
    (folder / "config").write_text(
        f"Host login\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {folder}/me\n"
        f" UserKnownHostsFile {folder}/known\n StrictHostKeyChecking accept-new\n IdentitiesOnly yes\n BatchMode yes\n"
    )
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    ssh.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    host = SshHost(folder, port)
    try:
        yield host
    finally:
        host.stop()
