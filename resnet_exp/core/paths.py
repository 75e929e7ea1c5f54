"""Where the YAML files of the package are: installed with it, or in a checkout."""

from __future__ import annotations

from pathlib import Path


def conf_dir() -> Path:
    """Folder of the Hydra groups: inside an installed package, else beside the package in a checkout."""
    return _beside("conf")


def sweeps_dir() -> Path:
    """Folder of the sweeps, found as `conf_dir` is."""
    return _beside("sweeps")


def _beside(name: str) -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name
