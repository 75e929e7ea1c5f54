"""From the command to the first batch: seconds of a second run with each data format, and where they go.

    python benchmarks/startup.py --rounds 7

Each round trains one epoch on the digits with each format in turn, in new processes. The first run of each, which
writes the data and compiles, is not counted. The wall clock runs from the command until ``progress.json`` appears,
which a run writes after its first batch. CPU seconds are those of all processes of the command. Run it on an idle
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import psutil

from resnet_exp.core.terminal import console

RUN = ("recipe=mild", "ssr=0.0112", "hardware=cpu")
# Of synthetic images there are as many as of the digits.
FORMATS = {
    "synthetic": ("data.loader.train_images=1437", "data.loader.val_images=360"),
    "imagefolder": (),
    "ffcv": (),
    "streaming": (),
}
POLL_SECONDS, PATIENCE_SECONDS = 0.01, 600.0
Found = TypeVar("Found")


@dataclass(frozen=True)
class Start:
    """Seconds of a start: of the wall clock in the order of what happens, then sums."""

    front: float  # until the rank's process exists: compose, check, own the folder
    imports: float  # until the rank has joined its group: Python, torch, Composer
    build: float  # until training begins: loaders, model, trainer
    batch: float  # the first batch
    wall: float
    cpu: float
    whole_wall: float  # of the whole command
    whole_cpu: float


def start(data: str, cache: Path, runs: Path) -> Start:
    """Train once in the new folder `runs`, and look on."""
    words = [*RUN, f"data={data}", *FORMATS[data], f"data.cache_dir={cache}", f"runs_dir={runs}"]
    began = time.time()
    # Python keeps the bytecode of what it imports, unless the machine forbids it.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = subprocess.Popen([sys.executable, "-m", "resnet_exp", *words], stdout=subprocess.DEVNULL, env=environ)
    front = psutil.Process(command.pid)
    rank = wait_for(front, lambda: next(iter(front.children()), None))
    joined = wait_for(front, lambda: written(runs, "environment.json", "torch_threads"))
    ended = wait_for(front, lambda: written(runs, "progress.json", "done"))
    cpu = sum(sum(process.cpu_times()[:2]) for process in (front, *front.children(recursive=True)))
    _, status, usage = os.wait4(command.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(words)}")
    (result,) = runs.glob("*/result.json")
    training = rank.create_time() + json.loads(result.read_text())["timing"]["startup_seconds"]
    return Start(
        front=rank.create_time() - began,
        imports=joined - rank.create_time(),
        build=training - joined,
        batch=ended - training,
        wall=ended - began,
        cpu=cpu,
        whole_wall=time.time() - began,
        whole_cpu=usage.ru_utime + usage.ru_stime,
    )


def wait_for(process: psutil.Process, find: Callable[[], Found | None]) -> Found:
    """What `find` gives as soon as it is not None; exits if `process` ends before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := find()) is None:
        if process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > deadline:
            sys.exit("a run did not reach its first batch")
        time.sleep(POLL_SECONDS)
    return found


def written(runs: Path, name: str, key: str) -> float | None:
    """When the file of the one run was written that has `key`; None before."""
    for path in runs.glob(f"*/{name}"):
        if key in json.loads(path.read_text()):
            return path.stat().st_mtime
    return None


def rows(times: dict[str, list[Start]]) -> Iterator[str]:
    """A table in Markdown: median and range of each column."""
    names = [field.name for field in fields(Start)]
    yield f"| data | {' | '.join(name.replace('_', ' ') for name in names)} |"
    yield f"| --- |{' --- |' * len(names)}"
    for data, starts in times.items():
        columns = [sorted(getattr(each, name) for each in starts) for name in names]
        cells = [f"{statistics.median(column):.1f} [{column[0]:.1f}-{column[-1]:.1f}]" for column in columns]
        yield f"| {data} | {' | '.join(cells)} |"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    times: dict[str, list[Start]] = {data: [] for data in options.data}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds + 1):
            for data, starts in times.items():
                starts.append(start(data, Path(folder) / "cache", Path(folder) / f"{data}-{number}"))
            console.say(f"round {number} of {options.rounds}")
    for line in rows({data: starts[1:] for data, starts in times.items()}):
        console.say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
