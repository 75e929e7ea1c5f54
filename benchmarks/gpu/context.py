"""What every part of `gpu.sh` is given, and the lines that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .device import Device


@dataclass(frozen=True)
class Scale:
    """How much a part does: on a GPU what a minute allows, in a rehearsal as little as runs every line."""

    model: str
    digits_px: int
    batches: int
    resumed: int
    stop_at: int
    photographs: int
    sides: tuple[int, ...]
    batch: int
    microbatches: int
    warm: int
    steps: int
    rounds: int
    threads: tuple[int, ...]
    repeats: int
    # Sizes for which networks are compiled, the bare loop's for the first one only.
    compiled: tuple[int, ...]
    backend: str
    # Recipes whose synchronizations are counted.
    counted: tuple[str, ...]
    # A batch of these images does not fit into so much memory; on a CPU instead: of more than so many images.
    limited_batch: int
    limited_px: int
    limited_gib: float
    limited_images: int

    @property
    def limited_pixels(self) -> int:
        """See `limited_images`."""
        return self.limited_images * self.limited_px**2


RECIPES = ("baseline", "mild", "medium", "hot")
REAL = Scale(
    model="resnet50", digits_px=64, batches=60, resumed=180, stop_at=17, photographs=8192, sides=(88, 128, 176, 224),
    batch=256, microbatches=8, warm=15, steps=10, rounds=3, threads=(4, 8, 14), repeats=20,
    compiled=(176, 88, 224), backend="inductor", counted=RECIPES,
    limited_batch=256, limited_px=128, limited_gib=3.0, limited_images=0,
)  # fmt: skip
# Without code for a CPU, which says nothing about that for a GPU.
TOY = Scale(
    model="resnet18", digits_px=32, batches=6, resumed=6, stop_at=3, photographs=64, sides=(32, 48), batch=4,
    microbatches=2, warm=1, steps=1, rounds=1, threads=(1, 2), repeats=2, compiled=(32,), backend="eager",
    counted=("hot",), limited_batch=8, limited_px=32, limited_gib=0.0, limited_images=4,
)  # fmt: skip


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

    @property
    def cache(self) -> Path:
        """Folder of converted data."""
        return self.folder / "cache"

    def start(self, words: Sequence[str], stderr: Path | None = None) -> subprocess.Popen[str]:
        """Start a real command line of this project; its errors go to `stderr`, if given."""
        words = ["loggers=[]", "trace=true", self.hardware, f"data.cache_dir={self.cache}", *words]
        return self.spawn([sys.executable, "-m", "resnet_exp", *words], stderr)

    def spawn(self, line: Sequence[str], stderr: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """Start a process; what it says goes to the log of this part."""
        said = self.folder / f"{self.part}.log"
        with said.open("a") as log, (stderr or said).open("a") as errors:
            return subprocess.Popen(
                line, stdout=log, stderr=errors, text=True, env={**os.environ, **environment}, cwd=self.folder
            )

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
