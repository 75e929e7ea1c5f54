"""What every part of `gpu.sh` is given, and the lines that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from resnet_exp.config.schema import RunConfig

from .device import Device

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Scale:
    """How much a part does: on a GPU what a minute allows, in a rehearsal as little as runs every line."""

    model: str
    digits_px: int
    batches: int
    stop_at: int
    photographs: int
    sides: tuple[int, ...]
    batch: int
    warm: int
    steps: int
    rounds: int
    threads: tuple[int, ...]
    repeats: int


REAL = Scale("resnet50", 64, 60, 17, 8192, (88, 128, 176, 224), 256, 15, 10, 3, (4, 8, 14), 20)
TOY = Scale("resnet18", 32, 6, 3, 64, (64, 88), 4, 1, 1, 1, (1, 2), 1)


@dataclass
class Context:
    """One part's surroundings.

    Attributes:
        folder: for data and runs, shared by the parts.
        lines: file that gets a line of JSON for each result.
    """

    part: str
    device: Device
    scale: Scale
    folder: Path
    lines: Path

    @property
    def photographs(self) -> Path:
        """Folder of the generated photographs."""
        return self.folder / "photographs"

    @property
    def hardware(self) -> str:
        """Word of the command line for this device."""
        return f"hardware={'auto' if self.device.kind == 'cuda' else 'cpu'}"

    def write(self, **found: object) -> None:
        """Write one result; ``ok`` says whether it is as it must be, where that is known."""
        with self.lines.open("a") as file:
            file.write(json.dumps({"part": self.part, **found}) + "\n")

    def command(self, *words: str) -> list[str]:
        """A real command line of this project."""
        cache = f"data.cache_dir={self.folder / 'cache'}"
        return [sys.executable, "-m", "resnet_exp", self.hardware, "loggers=[]", "trace=true", cache, *words]

    def start(self, words: Sequence[str], **environment: str) -> subprocess.Popen[str]:
        """Start a command line; what it says goes to a file in `folder`."""
        log = (self.folder / f"{self.part}.log").open("a")
        own = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        return subprocess.Popen(self.command(*words), stdout=log, stderr=log, text=True, env=own, cwd=self.folder)

    def only_run(self, runs: Path) -> Path:
        """The one run of a folder of runs."""
        (config,) = runs.glob("*/config.yaml")
        return config.parent


def wait_for(condition: object, seconds: float) -> bool:
    """Whether a function returns something true within so many seconds."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def has_setting(name: str) -> bool:
    """Whether this checkout's configuration has a key."""
    return name in {each.name for each in fields(RunConfig)}
