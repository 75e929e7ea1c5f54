"""What W&B costs a run, online with a service that never answers, and offline.

    python benchmarks/tracking.py --rounds 5

Each round trains the same short run on the digits without W&B, with W&B offline, and with W&B pointed at a local socket
that accepts connections and never answers. The clock is the run's own ``train_seconds``: batches and the wait for
their data. The whole command's time has the waits at the start and the end too. Then 20,000 rows are handed to a W&B
run of that kind, and each call is timed. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_exp.core.terminal import console
from resnet_exp.loggers.wandb_background import BackgroundRun

RUN = ("recipe=mild", "ssr=0.0667", "hardware=cpu", "loggers.wandb.init_seconds=3", "loggers.wandb.finish_seconds=3")
KINDS = ("none", "offline", "stalled")
ROWS = 20_000


@contextmanager
def silent_service() -> Iterator[str]:
    """Address of a socket that takes connections into its backlog and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def environ(kind: str, address: str) -> dict[str, str]:
    """Variables of W&B's client."""
    mode = "offline" if kind == "offline" else "online"
    return {"WANDB_MODE": mode, "WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "NO_PROXY": "127.0.0.1"}


def train(kind: str, address: str, runs: Path) -> tuple[float, float]:
    """Train once; returns the seconds of training, and those of the whole command."""
    trackers = "[progress,csv]" if kind == "none" else "[progress,csv,wandb]"
    words = [word for word in RUN if kind != "none" or "wandb" not in word]
    line = [sys.executable, "-m", "resnet_exp", *words, f"loggers={trackers}", f"runs_dir={runs}"]
    began = time.perf_counter()
    subprocess.run(line, env={**os.environ, **environ(kind, address)}, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    (result,) = runs.glob("*/result.json")
    return json.loads(result.read_text())["timing"]["train_seconds"], seconds


def calls(address: str, folder: Path) -> list[float]:
    """Seconds of each of many calls that hand a row to a W&B run whose service does not answer."""
    os.environ |= environ("stalled", address)
    run = BackgroundRun(folder, console.say, 3.0, 3.0, id="calls", project="benchmark")
    taken = []
    for step in range(ROWS):
        row = {"train/loss": 1.0 / (step + 1), "train/lr": 0.1, "train/image_size": 176, "batch": step}
        began = time.perf_counter()
        run.do(lambda it, row=row, step=step: it.log(row, step=step))
        taken.append(time.perf_counter() - began)
    run.finish()
    return taken


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with silent_service() as address, tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for kind in KINDS:
                times[kind].append(train(kind, address, Path(folder) / f"{kind}-{number}"))
            console.say(f"round {number + 1} of {options.rounds}")
        taken = calls(address, Path(folder))
    for kind in KINDS:
        for column, name in enumerate(("training", "whole command")):
            own = [row[column] for row in times[kind]]
            ratios = [row[column] / bare[column] for row, bare in zip(times[kind], times["none"], strict=True)]
            spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
            console.say(f"{kind:<8} {name:<14} {statistics.median(own):6.1f} s, to none: {spread}")
    milliseconds = sorted(1000 * seconds for seconds in taken)
    median, longest = milliseconds[len(milliseconds) // 2], milliseconds[-1]
    console.say(f"a call: {median:.4f} ms, the longest {longest:.2f} ms (n={ROWS:,})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
