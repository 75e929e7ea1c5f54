"""Manifests and submissions on disk: what earlier versions wrote is read, and written again to the byte."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.runs import submission, sweep_manifest

MANIFEST = {
    "schema": 1,
    "sweep": "demo",
    "time": "2026-11-09T10:11:12+0100",
    "command": ["python", "-m", "resnet_exp", "-m", "seed=1,2"],
    "host": "n1",
    "git": {"commit": "a" * 40, "dirty": False},
    "launcher": "slurm",
    "runs": [
        {"run_id": "mild-1", "overrides": ["seed=1"], "job": "12_0"},
        {"run_id": "mild-2", "overrides": ["seed=2"], "job": None},
    ],
}
SUBMISSION = {
    "schema": 1,
    "token": "f" * 32,
    "folder": "/runs/.submitit",
    "tasks": [{"folder": "/runs/mild-1", "max_requeues": 3, "commit": None}],
    "manifest": {key: value for key, value in {**MANIFEST, "git": None}.items() if key != "schema"},
}


def text_of(record: object) -> str:
    return json.dumps(record, indent=1) + "\n"


def test_a_manifest_is_written_as_it_was(tmp_path: Path) -> None:
    path = sweep_manifest.path_of(tmp_path, "demo")
    path.parent.mkdir()
    path.write_text(text_of(MANIFEST))
    (manifest,) = sweep_manifest.read_manifests(tmp_path)
    path.unlink()
    sweep_manifest.write_manifest(tmp_path, manifest)
    assert path.read_text() == text_of(MANIFEST)
    assert sweep_manifest.jobs([manifest]) == {"mild-1": "12_0"}


def test_a_submission_is_written_as_it_was(tmp_path: Path) -> None:
    path = submission.submission_path(tmp_path)
    path.parent.mkdir()
    path.write_text(text_of(SUBMISSION))
    found = submission.read_submission(tmp_path)
    assert found is not None
    submission.end(tmp_path)
    assert submission.read_submission(tmp_path) is None
    submission.begin(tmp_path, found)
    assert path.read_text() == text_of(SUBMISSION)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "it has no sweep"),
        ('{"sweep": "demo", "runs": {}}', "runs={} must be a list"),
        ('{"sweep": "demo", "runs": [{"run_id": "a"}, {}]}', "it has no runs[1].run_id"),
        ('{"sweep": "demo", "runs": [{"run_id": 1}]}', "runs[0].run_id=1 must be a text"),
    ],
)
def test_what_is_no_manifest_is_named(content: str, said: str, tmp_path: Path) -> None:
    path = sweep_manifest.path_of(tmp_path, "demo")
    path.parent.mkdir()
    path.write_text(content)
    line = f"{path}: {said}; remove it to run again"
    with pytest.raises(RequestError) as refused:
        sweep_manifest.read_manifest(tmp_path, "demo")
    assert str(refused.value) == line
    damaged: dict[Path, str] = {}
    assert sweep_manifest.read_manifests(tmp_path, damaged) == []
    assert damaged == {path: line}


def refuse(lock: AbstractContextManager[None], before: Callable[[], object]) -> None:
    with lock:
        assert before()
        raise RequestError("no such partition")


def test_a_sweep_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    runs = tmp_path / "made" / "runs"
    for lock in (sweep_manifest.own_sweep(runs, "demo"), sweep_manifest.submitting(runs)):
        with pytest.raises(RequestError, match="no such partition"):
            refuse(lock, runs.is_dir)
        assert not list(tmp_path.iterdir())
    with sweep_manifest.own_sweep(runs, "demo"):
        with pytest.raises(RequestError, match="already running"):
            refuse(sweep_manifest.own_sweep(runs, "demo"), runs.is_dir)
        assert sweep_manifest.is_sweep_owned(runs, "demo")


def test_a_submission_that_waited_for_one_that_is_refused_excludes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened a lock whose file is gone by now."""
    waiting, first, go_on, events = threading.Event(), threading.Event(), threading.Event(), list[str]()
    monkeypatch.setattr(sweep_manifest.console, "say", lambda line: waiting.set())

    def wait() -> None:
        with sweep_manifest.submitting(tmp_path / "runs"):
            first.set()
            go_on.wait(60)
            events.append("first")

    def come_later() -> None:
        with sweep_manifest.submitting(tmp_path / "runs"):
            events.append("second")

    threads = [threading.Thread(target=wait), threading.Thread(target=come_later)]
    with pytest.raises(RequestError, match="no such partition"):
        refuse(sweep_manifest.submitting(tmp_path / "runs"), lambda: threads[0].start() or waiting.wait(60))
    assert first.wait(60)
    waiting.clear()
    threads[1].start()
    assert waiting.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert events == ["first", "second"]
