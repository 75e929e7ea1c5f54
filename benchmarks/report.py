"""How the report scales: ``resnet_exp report`` on many finished run folders.

    python benchmarks/report.py --runs 10000

The clock covers the whole command, from the start of Python to its end, all files written; memory is the peak resident
set of the process. A first run, which compiles modules and is not counted, comes before. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from scale import RESULT, measure, report

from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.result import Result, result_json
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun

RECIPES = {"baseline": 0.762, "mild": 0.766, "medium": 0.776, "hot": 0.789}
SSRS = tuple(number / 10 for number in range(1, 11))
HARDWARE = {"p4d.24xlarge": 21.96, "p5.48xlarge": 55.04, "a2-highgpu-8g": 29.39, "a100x8": None}
EVALUATIONS = 16


def write_runs(runs: Path, count: int) -> None:
    """Finished runs of recipes x lengths x hardware, as many seeds of each as it takes; some others among them."""
    draw = random.Random(0)
    listed = []
    for number in range(count):
        seed, kind = divmod(number, len(RECIPES) * len(SSRS) * len(HARDWARE))
        recipe = tuple(RECIPES)[kind % 4]
        ssr = SSRS[kind // 4 % len(SSRS)]
        hardware = tuple(HARDWARE)[kind // 4 // len(SSRS)]
        run_id = f"{recipe}-ssr{ssr}-{hardware}-s{seed}-{number:08x}"
        listed.append(SweepRun(run_id, (f"seed={seed}",)))
        folder = runs / run_id
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text("recipe: mild\n" * 240)
        if number % 100 == 99:
            (folder / "failure.json").write_text(json.dumps({"error": "RuntimeError: CUDA error", "exit_code": 1}))
            continue
        result = _result(run_id, recipe, ssr, hardware, seed, kind, draw)
        (folder / "result.json").write_text(json.dumps(result_json(result), indent=1))
        seconds = result.timing.train_seconds
        with (folder / "metrics.jsonl").open("w") as file:
            for part in range(1, EVALUATIONS + 1):
                share = part / EVALUATIONS
                top1 = result.top1 * (1 - 0.6 * (1 - share) ** 2)
                row = {"epoch": part, "batches": part * 625, "train_seconds": seconds * share, "top1": top1}
                file.write(json.dumps({**row, "top5": min(1.0, top1 + 0.15), "loss": 2.5 - top1}) + "\n")
    sweep_manifest.write_manifest(runs, SweepManifest(sweep="big", launcher="basic", runs=tuple(listed)))


def _result(run_id: str, recipe: str, ssr: float, hardware: str, seed: int, kind: int, draw: random.Random) -> Result:
    top1 = RECIPES[recipe] - 0.05 * (1 - ssr) ** 3 + draw.gauss(0, 0.001)
    seconds = ssr * 90 * (29 if hardware.startswith("p5") else 51) * (1 + draw.gauss(0, 0.01))
    price = HARDWARE[hardware]
    return replace(
        RESULT,
        run_id=run_id,
        recipe=recipe,
        ssr=ssr,
        seed=seed,
        group=f"{kind:08x}",
        command=f"resnet_exp recipe={recipe} ssr={ssr} seed={seed} hardware={hardware}",
        epochs=int(90 * ssr),
        batches=int(56250 * ssr),
        top1=top1,
        timing=replace(RESULT.timing, train_seconds=seconds),
        hardware=replace(
            RESULT.hardware, name=hardware, usd_per_node_hour=price, price_date="2026-11-09" if price else None
        ),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[10000])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for size in options.runs:
            write_runs(Path(folder) / str(size), size)
        commands = {
            size: [sys.executable, "-m", "resnet_exp.report", f"{folder}/{size}", "-o", f"{folder}/report-{size}"]
            for size in options.runs
        }
        # With this, modules would be compiled each time.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        measure(commands[options.runs[0]])
        samples: dict[int, list[tuple[float, float]]] = {size: [] for size in options.runs}
        for _ in range(options.repeat):
            for size, command in commands.items():
                samples[size].append(measure(command))
        for size in options.runs:
            if not Path(f"{folder}/report-{size}/explorer.html").exists():
                sys.exit("failed: no explorer.html")
            report("report", size, samples[size])


if __name__ == "__main__":
    main()
