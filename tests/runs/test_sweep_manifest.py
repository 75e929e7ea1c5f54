"""Manifests and submissions on disk: what earlier versions wrote is read, and written again to the byte."""

from __future__ import annotations

import json
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
