"""How the front scales: composing a sweep of many runs, submitting it to SLURM, and the status of many run folders.

    python benchmarks/scale.py compose --runs 1000       no SLURM needed: to compose and check every run
    python benchmarks/scale.py status --runs 10000       nor here
    python benchmarks/scale.py submit --runs 1000        on a machine with SLURM; the jobs are held, then canceled

Clocks cover the whole command, from the start of Python to its end, but for `compose`: CPU time of the planning alone.
Memory is the peak resident set of the process.
Run it on an idle machine: it uses one core.
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
from dataclasses import replace
from pathlib import Path

from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.result import Evaluation, Result, ResultHardware, Timing, result_json
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun

# As the launchers do it, after Hydra's start.
COMPOSE = """
import resource, sys, time
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from resnet_exp.config import resolvers
from resnet_exp.core import paths
from resnet_exp.sweep import grid, planned
resolvers.register()
size = int(sys.argv[1])
words = [f"seed=range({size // 4})", "ssr=0.1,0.2", "recipe=mild,hot", "hardware=a100x8"]
with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
    loader = GlobalHydra.instance().hydra.config_loader
    master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    began = time.process_time()
    sweep = planned.plan_sweep(loader, master, grid.expand_grid(loader, {}, [], words), remote=True)
    seconds = time.process_time() - began
assert len(sweep.runs) == size
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
RESULT = Result(
    run_id="", recipe="mild", ssr=0.36, seed=0, model="resnet50", dataset="imagenet", data="ffcv",
    algorithms=("blurpool", "channels_last", "ema", "label_smoothing", "progressive_resizing"), group="0000000a",
    sweep="big", command="resnet_exp recipe=mild", commits=("0" * 40,), dirty=False, epochs=32, batches=20000,
    train_images=1281167, val_images=50000, top1=0.766, top5=0.931, eval_loss=1.1, evaluation=Evaluation(232, 224),
    images_per_second=25000.0, resumed=0, timing=Timing(1600.0, 60.0, 40.0, 20.0),
    hardware=ResultHardware("p4d.24xlarge", "aws", 8, 1, "amp_fp16", "A100 40GB", 96, 21.96, "2026-11-09"),
)  # fmt: skip
KINDS = ("done", "done", "done", "failed", "stopped", "missing")


def write_runs(runs: Path, count: int) -> None:
    """Run folders as a sweep leaves them: half of them done, the others failed, stopped or missing."""
    listed = []
    for number in range(count):
        run_id = f"mild-ssr0.36-a100x8-s{number}-{number:08x}"
        listed.append(SweepRun(run_id, (f"seed={number}",)))
        kind = KINDS[number % len(KINDS)]
        if kind == "missing":
            continue
        folder = runs / run_id
        (folder / "checkpoints").mkdir(parents=True)
        (folder / ".lock").write_text("process 1 on n1")
        (folder / "config.yaml").write_text("recipe: mild\n" * 80)
        progress = {"done": 7, "total": 32, "unit": "epochs", "top1": 0.5, "eta_seconds": 60.0, "time": time.time()}
        (folder / "progress.json").write_text(json.dumps(progress))
        if kind == "done":
            (folder / "result.json").write_text(json.dumps(result_json(replace(RESULT, run_id=run_id, seed=number))))
        elif kind == "failed":
            (folder / "failure.json").write_text(json.dumps({"error": "ValueError: no", "traceback": "x" * 3000}))
        else:
            (folder / "checkpoints" / "latest-rank0.pt").write_bytes(b"")
    sweep_manifest.write_manifest(runs, SweepManifest(sweep="big", launcher="basic", runs=tuple(listed)))


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of one command; it must end with 0 or 1."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"failed: {' '.join(command)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def report(what: str, count: int, samples: list[tuple[float, float]]) -> None:
    """One line: what, n, and the median with its spread."""
    seconds = [sample[0] for sample in samples]
    peak = max(sample[1] for sample in samples)
    middle = statistics.median(seconds)
    spread = f"{min(seconds):.2f}-{max(seconds):.2f} s"
    sys.stdout.write(f"{what:<12} {count:>6} runs  {middle:6.2f} s ({spread}, n={len(seconds)})  {peak:6.0f} MiB\n")
    sys.stdout.flush()


def status(sizes: list[int], repeat: int) -> None:
    """Time ``resnet_exp status`` on folders of several sizes, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            write_runs(Path(folder) / str(size), size)
        samples: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
        for _ in range(repeat):
            for size in sizes:
                samples[size].append(measure([sys.executable, "-m", "resnet_exp.status", f"{folder}/{size}"]))
        for size in sizes:
            report("status", size, samples[size])


def compose(sizes: list[int], repeat: int) -> None:
    """Time how sweeps are composed and checked, each in a process of its own, in turn."""
    samples: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for _ in range(repeat):
        for size in sizes:
            words = [sys.executable, "-c", COMPOSE, str(size)]
            seconds, mebibytes = map(float, subprocess.run(words, check=True, capture_output=True).stdout.split())
            samples[size].append((seconds, mebibytes))
    for size in sizes:
        report("compose", size, samples[size])


def submit(sizes: list[int], repeat: int) -> None:
    """Time the submission of sweeps of held jobs, and the same command again; all are canceled."""
    held = ["+hydra.launcher.additional_parameters.hold=true", "hydra.launcher.wait=false", "hydra/launcher=slurm"]
    for size in sizes:
        first, again = [], []
        for number in range(repeat):
            with tempfile.TemporaryDirectory() as folder:
                name = f"scale-{os.getpid()}-{number}"
                grid = [f"seed=range({size // 4})", "ssr=0.1,0.2", "recipe=mild,hot", "hardware=a100x8"]
                command = [sys.executable, "-m", "resnet_exp", "-m", *grid, *held, f"sweep={name}"]
                try:
                    first.append(measure([*command, f"runs_dir={folder}"]))
                    again.append(measure([*command, f"runs_dir={folder}"]))
                finally:
                    subprocess.run(["scancel", f"--name={name}"], check=True)
        report("submit", size, first)
        report("submit again", size, again)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compose", "status", "submit"))
    parser.add_argument("--runs", type=int, nargs="+", default=[1000])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    {"compose": compose, "status": status, "submit": submit}[options.what](options.runs, options.repeat)


if __name__ == "__main__":
    main()
