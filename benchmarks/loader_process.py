"""Processes of `benchmarks/data.py`, one for each loader; and the loaders of a comparison with others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from data_loaders import FULL

from resnet_exp.core.terminal import console

HERE = Path(__file__).resolve().parent.parent
PEERS = HERE / ".venv-peers"
Found = dict[str, list[dict[str, float]]]


class Row(NamedTuple):
    """A loader in a comparison with others."""

    name: str
    reads: str  # files, marked, shards, or a write_mode of FFCV files
    kernel: str  # that makes a crop smaller
    environment: str = ""  # of benchmarks/peers.sh; none: this one
    script: str = ""  # in benchmarks/peers
    variant: str = ""


ANTIALIASED, AREA, LINEAR = "linear, antialiased", "area", "linear"
ROWS = (
    Row(f"ours, imagefolder pillow, full {FULL}", "files", ANTIALIASED),
    Row(f"ours, imagefolder compiled, full {FULL}", "files", ANTIALIASED),
    Row(f"ours, imagefolder indexed, full {FULL}", "files", ANTIALIASED),
    Row(f"ours, ffcv source, full {FULL}", "source", AREA),
    Row(f"ours, ffcv proportion, full {FULL}", "proportion", AREA),
    Row(f"ours, ffcv jpg, full {FULL}", "jpg", AREA),
    Row(f"ours, streaming, full {FULL}", "shards", AREA),
    Row(f"FFCV's own, proportion, {FULL}", "proportion", AREA),
    Row(f"FFCV's own, jpg, {FULL}", "jpg", AREA),
    Row(f"mosaicml-streaming, {FULL}", "shards", ANTIALIASED),
    Row(f"torchvision ImageFolder, {FULL}", "files", ANTIALIASED),
    Row("TorchCodec + torchvision", "files", ANTIALIASED, "torchcodec", "torchcodec_torchvision"),
    Row("DALI, whole", "files", ANTIALIASED, "dali", "dali", "whole"),
    Row("DALI, region", "files", ANTIALIASED, "dali", "dali", "region"),
    Row("DALI, region, fast", "files", LINEAR, "dali", "dali", "region-fast"),
    Row("DALI, region, marked files", "marked", ANTIALIASED, "dali", "dali", "region"),
    Row("simplejpeg + OpenCV, area", "files", AREA, "simplejpeg", "simplejpeg_opencv", "area"),
    Row("simplejpeg + OpenCV, linear", "files", LINEAR, "simplejpeg", "simplejpeg_opencv", "linear"),
    Row("SPDL with FFmpeg", "files", ANTIALIASED, "spdl", "spdl_ffmpeg", "bilinear"),
)
REFERENCE = f"ours, imagefolder compiled, full {FULL}"


def rows_in(peers: Path) -> list[Row]:
    """The loaders that there are; names the environments that are missing."""
    missing = sorted({row.environment for row in ROWS if row.environment and not (peers / row.environment).is_dir()})
    if missing:
        console.say(f"not in {peers}: {', '.join(missing)}; make them with benchmarks/peers.sh {' '.join(missing)}")
    return [row for row in ROWS if row.environment not in missing]


class Load(NamedTuple):
    """How the loaders are asked to load."""

    threads: int = 1  # that decode
    rate: float = 0  # images per second that the consumer takes at most; 0: as many as it gets
    epochs: int = 1  # a pass


def command_of(row: Row, peers: Path, options: Iterable[object]) -> list[str]:
    """The command of a peer."""
    script = HERE / "benchmarks" / "peers" / f"{row.script}.py"
    return [str(peers / row.environment / "bin" / "python"), str(script), row.variant, *map(str, options)]


def begin(command: list[str], load: Load, cache: Path) -> subprocess.Popen[str]:
    """Start a loader's process; compiled code is kept in `cache`."""
    if load != Load():
        command = [*command, "--threads", str(load.threads), "--rate", str(load.rate), "--epochs", str(load.epochs)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process: subprocess.Popen[str], line: str | None = "\n") -> dict[str, float]:
    """The next answer of a loader's process."""
    assert process.stdin is not None and process.stdout is not None
    if line is not None:
        process.stdin.write(line)
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{' '.join(map(str, process.args))}: ended without an answer")  # pyright: ignore
    return json.loads(answer)


def measure(commands: dict[str, list[str]], load: Load, cache: Path, rounds: int) -> Found:
    """What every loader answers in turn, once a round."""
    processes: dict[str, subprocess.Popen[str]] = {}
    for name, command in commands.items():
        # One after the other: the first compiles for all.
        processes[name] = begin(command, load, cache)
        ask(processes[name], None)
        console.status(f"{name} is ready")
    found: Found = {name: [] for name in processes}
    for number in range(rounds):
        for name, process in processes.items():
            found[name].append(ask(process))
            console.status(f"round {number + 1} of {rounds}: {name}")
    for process in processes.values():
        process.communicate()
    return found
