"""Runs in containers of the image: as any user, stopped, killed and resumed, and without compiling anything."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnet_exp.core.errors import EXIT_INTERRUPTED
from support.container import ANY_USER, Engine

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]

USER = 12345
JOB = ("recipe=hot", "hardware=cpu")
# One for each kind of compiled code that the image has.
LOADERS = (
    "data=ffcv",
    "data=ffcv data.loader.write_mode=raw",
    "data=streaming",
    "data.loader.decoder=compiled data=imagefolder",
)


@pytest.fixture
def mounts(tmp_path: Path) -> tuple[str, ...]:
    """Folders of that user for the runs and for what is converted."""
    for name in ("runs", "cache"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, USER, USER)
    return (f"--volume={tmp_path / 'runs'}:/runs/runs", f"--volume={tmp_path / 'cache'}:/cache")


@pytest.fixture
def container(engine: Engine) -> Iterator[str]:
    """The name of a container that is removed in the end, with its volumes."""
    name = f"resnet_exp-test-{os.getpid()}"
    yield name
    engine.ask("rm", "--force", "--volumes", name)


def wait(what: str, condition: Callable[[], bool], timeout: float = 300) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what}: not after {timeout:g} s"
        time.sleep(0.5)


def test_the_doctor_as_any_user(engine: Engine, mounts: tuple[str, ...]) -> None:
    done = engine.run((*ANY_USER, *mounts), "doctor")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_conversion_as_any_user(engine: Engine, mounts: tuple[str, ...], tmp_path: Path) -> None:
    done = engine.run((*ANY_USER, *mounts), "convert", "recipe=hot", "data=ffcv")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "cache").rglob("*.ffcv")} == {"train.ffcv", "val.ffcv"}
    assert {path.stat().st_uid for path in (tmp_path / "cache").rglob("*.ffcv")} == {USER}


def test_a_run_that_is_stopped_and_killed_goes_on(
    engine: Engine, mounts: tuple[str, ...], container: str, tmp_path: Path
) -> None:
    options = (*ANY_USER, *mounts)
    line = (*JOB, "schedule.max_duration=6ep")
    runs = tmp_path / "runs"

    def saved() -> float:
        """When the last checkpoint was written; 0 if there is none."""
        return max((path.stat().st_mtime for path in runs.glob("*/checkpoints/latest-rank0.pt")), default=0)

    engine.ask("run", "--detach", f"--name={container}", *options, engine.image, *line)
    wait("an epoch", lambda: saved() > 0)
    engine.ask("stop", "--time=120", container)
    state = json.loads(engine.ask("inspect", container))[0]["State"]
    assert state["ExitCode"] == EXIT_INTERRUPTED, engine.ask("logs", container)
    before = saved()
    engine.ask("start", container)
    # A start that has saved nothing does not count as one from which the next has resumed.
    wait("another epoch", lambda: saved() > before)
    engine.ask("kill", container)
    done = engine.run(options, *line)
    assert done.returncode == 0, done.stderr
    (result,) = [json.loads(path.read_text()) for path in runs.glob("*/result.json")]
    assert result["resumed"] == 2


@pytest.mark.parametrize("loader", LOADERS)
def test_a_fresh_container_compiles_nothing(engine: Engine, container: str, loader: str) -> None:
    """As root and on a file system that can be written: what numba compiles, it writes."""
    line = (*JOB, "schedule.max_duration=1ep", *loader.split())
    engine.ask("run", f"--name={container}", "--user=0:0", engine.image, *line, timeout=600)
    changed = engine.ask("diff", container).splitlines()
    assert any("/home/user" in path or "/tmp" in path for path in changed)
    assert [path for path in changed if "/opt/" in path or path.endswith((".nbi", ".nbc"))] == []
