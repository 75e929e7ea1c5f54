"""Reports of runs that W&B has: folders of its files, and runs on its service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.tracking import wandb_runs
from support.loopback import Loopback
from support.run_folders import result_of, rows_of, write_run, write_wandb_files


@pytest.mark.parametrize("given", ["wandb", "wandb/run-1", "."])
def test_the_wandb_folder_of_a_run_is_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    run = write_run(tmp_path / "runs", "run")
    write_wandb_files(run / "wandb")
    assert wandb_runs.run_folder_of(run / given).resolve() == run
    monkeypatch.chdir(run / given)
    assert wandb_runs.run_folder_of(Path()).resolve() == run


class Server(Loopback):
    """Answers the three queries of W&B's client that a report takes, as their service does."""

    runs: list[dict[str, Any]] | None = None

    def answer(self, path: str, body: bytes) -> tuple[int, object]:
        asked = json.loads(body)["query"] if path == "/graphql" else ""
        data: dict[str, Any] = {"viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": None}}
        if "query Runs" in asked:
            edges = [{"cursor": f"{n}", "node": node} for n, node in enumerate(self.runs or [])]
            page = {"endCursor": None, "hasNextPage": False}
            runs = {"internalId": "1", "runCount": len(edges), "readOnly": False}
            data = {"project": None if self.runs is None else {**runs, "runs": {"edges": edges, "pageInfo": page}}}
        return 200, {"data": data}


@pytest.fixture
def wandb_server() -> Iterator[Server]:
    with Server().running() as server:
        yield server


def node(name: str, summary: dict[str, Any]) -> dict[str, Any]:
    """A run as W&B's service describes it."""
    empty = dict.fromkeys(("heartbeatAt", "commit", "jobType", "group", "description", "notes", "historyKeys"))
    known = {"id": name, "name": name, "displayName": name, "state": "finished", "createdAt": "2026-11-01T00:00:00"}
    texts = {"config": "{}", "systemMetrics": "{}", "summaryMetrics": json.dumps(summary)}
    user = {"name": "me", "username": "me"}
    more = {"tags": [], "sweepName": None, "readOnly": False, "historyLineCount": 2, "projectId": "1", "user": user}
    return {**empty, **known, **texts, **more}


def report_of_wandb(folder: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "WANDB_ERROR_REPORTING": "false"}
    places = {"HOME": str(folder), "WANDB_DIR": str(folder), "NO_PROXY": "127.0.0.1", "PATH": "/usr/bin:/bin"}
    words = [sys.executable, "-m", "resnet_exp.report", "-o", "out", "--wandb", "me/project", *arguments]
    return subprocess.run(words, cwd=folder, env={**own, **places}, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_runs_of_wandb(tmp_path: Path, wandb_server: Server) -> None:
    evaluations = [{"train_seconds": 811.0, "top1": 0.4}, {"train_seconds": 1622.4, "top1": 0.766}]
    here = write_run(tmp_path / "runs", "here", timing__train_seconds=1500.0)
    wandb_server.runs = [
        node("there", {"result": result_of("there"), "evaluations": evaluations}),
        node("here", {"result": json.loads((here / "result.json").read_text())}),
        node("foreign", {"loss": 0.1}),
    ]
    done = report_of_wandb(tmp_path, wandb_server.address, "runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 runs: 2 done, 1 unreadable" in done.stdout and "it has no result): foreign" in done.stdout
    rows = rows_of(tmp_path / "out")
    assert [(row["run_id"], row["path"] == "") for row in rows] == [("here", False), ("there", True)]
    wandb_server.runs = None
    done = report_of_wandb(tmp_path, wandb_server.address)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("--wandb me/project cannot be read (Could not find project project)")


@pytest.mark.slow
def test_wandb_out_of_reach(tmp_path: Path) -> None:
    began = time.monotonic()
    done = report_of_wandb(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("--wandb me/project cannot be read (") and time.monotonic() - began < 100
