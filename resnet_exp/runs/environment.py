"""With what a run was made: ``environment.json``. Standard library and psutil until a worker adds its versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from resnet_exp.core import files
from resnet_exp.core.devices import usable_cpus, visible_gpus
from resnet_exp.runs.folder import RunFolder

PACKAGES = ("torch", "torchvision", "mosaicml", "ffcv", "hydra-core", "omegaconf", "numpy", "numba", "pillow")
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT")


def describe(run: RunFolder) -> None:
    """Write down with what a run is made from here on; the commits of the tries that it goes on from stay."""
    facts = of_launcher()
    code = facts["git"] or {"commit": None, "dirty": False}
    before = (files.read_json(run.environment) or {}) if any(run.checkpoints.glob("*.pt")) else {}
    commits = [commit for commit in (*before.get("commits", []), code["commit"]) if commit]
    history = {"commits": list(dict.fromkeys(commits)), "dirty": code["dirty"] or before.get("dirty", False)}
    update(run, {**facts, **history})


def of_launcher() -> dict[str, Any]:
    """Commit, host and versions, as the front sees them."""
    return {
        "schema": files.SCHEMA,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": git(),
        "cpus": usable_cpus(),
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "gpus": [gpu.name for gpu in visible_gpus()],
        "slurm": {name: os.environ[name] for name in SLURM if name in os.environ},
    }


def update(run: RunFolder, facts: dict[str, Any]) -> None:
    """Add facts to a run's ``environment.json``."""
    files.write_json(run.environment, {**(files.read_json(run.environment) or {}), **facts})


def commit_of(run: RunFolder) -> str | None:
    """Commit that a run folder says its run was made with, None if it does not know."""
    facts = files.read_json(run.environment) or {}
    return (facts.get("git") or {}).get("commit")


def process_seconds() -> float:
    """Seconds since this process started."""
    return time.time() - psutil.Process().create_time()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git() -> dict[str, Any] | None:
    """Commit of this checkout and whether it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit, status = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True, timeout=20).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "dirty": bool(status.strip())}
