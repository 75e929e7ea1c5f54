"""Folders of finished runs, written as training writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from resnet_exp.runs.folder import RunFolder

TOP1, SECONDS = 0.766, 1622.4
OUR_COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40


def result_of(run_id: str, **changes: Any) -> dict[str, Any]:
    """A result with the keys that `resnet_exp.train` writes; ``timing__train_seconds=3`` changes an inner one."""
    result: dict[str, Any] = {
        "schema": 1, "run_id": run_id, "recipe": "mild", "ssr": 0.36, "seed": 17, "model": "resnet50",
        "dataset": "imagenet", "data": "ffcv", "algorithms": ["blurpool", "ema"], "group": "0000000a", "sweep": "demo",
        "command": "resnet_exp recipe=mild", "commits": [OUR_COMMIT], "dirty": False,
        "epochs": 32, "batches": 20000, "train_images": 1281167, "val_images": 50000,
        "top1": TOP1, "top5": 0.931, "eval_loss": 1.0, "evaluation": {"eval_resize": 232, "eval_crop": 224},
        "images_per_second": 25000.0, "resumed": 0,
        "timing": {"train_seconds": SECONDS, "eval_seconds": 30.0, "startup_seconds": 20.0, "data_wait_seconds": 5.0},
        "hardware": {
            "name": "p4d.24xlarge", "cloud": "aws", "devices": 8, "nodes": 1, "precision": "amp_fp16",
            "gpu": "A100 40GB", "cpus": 96, "usd_per_node_hour": 21.957642, "price_date": "2026-11-09",
        },
        "data_set": None, "data_set_fingerprint": None, "speed": "faithful", "init_from": None,
    }  # fmt: skip
    for key, value in changes.items():
        *outer, last = key.split("__")
        inner = result
        for name in outer:
            inner = inner[name]
        inner[last] = value
    return result


def write_run(runs: Path, run_id: str, **changes: Any) -> Path:
    """A finished run of two evaluations."""
    folder = RunFolder(runs / run_id)
    folder.path.mkdir(parents=True)
    folder.config.write_text("recipe: mild\n")
    # Python writes NaN too, which JSON does not have.
    folder.result.write_text(json.dumps(result_of(run_id, **changes)))
    seconds, top1 = changes.get("timing__train_seconds", SECONDS), changes.get("top1") or TOP1
    rows = [{"epoch": n, "batches": 9 * n, "train_seconds": n * seconds / 2, "top1": n * top1 / 2} for n in (1, 2)]
    folder.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder.path


def rows_of(folder: Path) -> list[dict[str, str]]:
    """What a report's ``runs.csv`` says of runs that are not published."""
    with (folder / "runs.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["published"] == "false"]


def write_wandb_files(folder: Path) -> None:
    """A folder such as W&B's client leaves in a run's folder."""
    (folder / "run-1").mkdir(parents=True)
    (folder / "run-1" / "run-1.wandb").touch()
