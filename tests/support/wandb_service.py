"""A loopback service that answers W&B's client as theirs does and keeps what it is sent; it can be slow, full or gone.

Together with ``wandb sync`` it is how the tests read offline runs back: the client's own reader decodes them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.loopback import Loopback


@dataclass
class StoredRun:
    """What the service knows of one run."""

    settings: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """The lines of ``history``, ``summary`` or ``events``."""
        name = {"history": "wandb-history.jsonl", "events": "wandb-events.jsonl", "summary": "wandb-summary.json"}[
            stream
        ]
        return [json.loads(line) for line in self.streams.get(name, [])]

    @property
    def summary(self) -> dict[str, Any]:
        return self.rows("summary")[-1]

    @property
    def config(self) -> dict[str, Any]:
        given = json.loads(self.settings["config"])
        return {key: entry["value"] for key, entry in given.items() if key != "_wandb"}


class Service(Loopback):
    """The service itself: its address, its runs by id, and how it behaves."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, StoredRun] = {}
        self.stalls = threading.Event()
        self.ends = threading.Event()
        self.status = 200
        self.deleted: set[str] = set()

    def environ(self) -> dict[str, str]:
        """Variables that lead the client here, logged in."""
        own = {"WANDB_BASE_URL": self.address, "WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}
        return {**own, "WANDB_ERROR_REPORTING": "false", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def answer(self, path: str, body: bytes) -> tuple[int, object] | None:
        if self.stalls.is_set():
            self.ends.wait()
            return None
        if self.status != 200:
            return self.status, {"error": "not today"}
        if path == "/graphql":
            asked = json.loads(body)
            if "upsertBucket" in asked["query"] and (name := asked["variables"]["name"]) in self.deleted:
                why = f"run {name} was previously created and deleted; try a new run name"
                return 409, {"errors": [{"message": why, "path": ["upsertBucket"]}], "data": {"upsertBucket": None}}
            return 200, {"data": self._data(asked["query"], asked.get("variables") or {})}
        if path.endswith("/file_stream"):
            self._take(self.runs[path.split("/")[-2]], json.loads(body))
        return 200, {}

    def _data(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            run = self.runs.setdefault(given["name"], StoredRun())
            run.settings |= {key: value for key, value in given.items() if value is not None}
            return {"upsertBucket": {"bucket": self._bucket(given["name"]), "inserted": True}}
        if "RunResumeStatus" in query:
            known = given["name"] in self.runs
            return {"model": {"id": "p", "bucket": self._bucket(given["name"]) if known else None}}
        if "createRunFiles" in query:
            run = self.runs[given["run"]]
            files = [{"name": name, "uploadUrl": f"{self.address}/upload/{name}"} for name in given["files"]]
            run.uploads += given["files"]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        if "createArtifact(" in query:
            wanted = given["input"]
            self.runs[wanted["runName"]].artifacts[wanted["artifactCollectionName"]] = wanted["artifactTypeName"]
            # As if another run had sent the same files before: nothing is left to upload.
            known = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
            return {"createArtifact": {"artifact": known}}
        if "query ArtifactType(" in query:
            return {"project": None}
        none = {"edges": list[object]()}
        user = {"id": "1", "entity": "me", "username": "me", "name": "Me", "email": "me@here", "flags": "{}"}
        user |= {"admin": False, "deletedAt": None, "teams": none, "apiKeys": none}
        return {"viewer": user, "serverInfo": {"features": []}}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        history = run.streams.get("wandb-history.jsonl", [])
        events = run.streams.get("wandb-events.jsonl", [])
        project = {"id": "p", "name": run.settings["project"], "entity": {"id": "e", "name": "me"}}
        lines = {"historyLineCount": len(history), "eventsLineCount": len(events), "logLineCount": 0}
        tails = {"historyTail": json.dumps(history[-1:]), "eventsTail": json.dumps(events[-1:])}
        texts = {"config": run.settings.get("config", "{}"), "summaryMetrics": (self._last(run) or "{}")}
        named = {"id": f"id-{name}", "name": name, "displayName": run.settings.get("displayName"), "project": project}
        return {**lines, **tails, **texts, **named, "tags": run.settings.get("tags"), "wandbConfig": "{}"}

    @staticmethod
    def _last(run: StoredRun) -> str | None:
        return (run.streams.get("wandb-summary.json") or [None])[-1]

    @staticmethod
    def _take(run: StoredRun, sent: dict[str, Any]) -> None:
        for name, part in (sent.get("files") or {}).items():
            lines = run.streams.setdefault(name, [])
            lines[part["offset"] :] = part["content"]
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]
        run.preempting = run.preempting or bool(sent.get("preempting"))


@contextmanager
def running() -> Iterator[Service]:
    """A service on a free port of this machine."""
    with Service().running() as service:
        try:
            yield service
        finally:
            service.ends.set()


def sync(service: Service, folders: list[Path], home: Path) -> str:
    """Upload offline runs with ``wandb sync``; returns what it says."""
    environ = {**os.environ, **service.environ(), "HOME": str(home)}
    words = [sys.executable, "-m", "wandb", "sync", *map(str, folders)]
    # It leaves a folder of logs where it is called.
    done = subprocess.run(
        words, env=environ, cwd=home, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
