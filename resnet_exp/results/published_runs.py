"""Published runs, one row per run in ``published/runs.csv``.

Not included: entries without an accuracy of their own (throughputs, targets, ranges), MLPerf runs that were aborted
below 75.9 %, and repeated results. An empty cell was not stated; ``algorithms`` are ``none`` where the source uses
none. Only a ``hardware`` that names a preset has a price: the source names that instance, or its price identifies it.
The cloud ``mosaicml`` is what MosaicML's Explorer called its own machines.
"""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

from resnet_exp.core import paths
from resnet_exp.results.record import NO_ALGORITHMS, RunRecord

FILE = Path(__file__).parent / "published" / "runs.csv"
# All were trained on the full ImageNet-1k.
DATASET = "imagenet"
# The recipes' model.
MODEL = "resnet50"


def published() -> list[RunRecord]:
    """Every published run, in the order of the file."""
    with FILE.open(newline="") as file:
        return [_run(row) for row in csv.DictReader(file)]


def _run(row: dict[str, str]) -> RunRecord:
    return RunRecord(
        run_id=row["run_id"],
        published=True,
        recipe=row["recipe"],
        model=row["model"],
        dataset=DATASET,
        data=row["data"],
        algorithms=_algorithms(row["algorithms"]),
        cloud=row["cloud"] or None,
        hardware=row["hardware"],
        gpu=row["gpu"] or None,
        devices=int(row["devices"]),
        nodes=int(row["nodes"]),
        cpus=_int(row["cpus"]),
        ssr=_float(row["ssr"]),
        seed=_int(row["seed"]),
        epochs=_float(row["epochs"]),
        top1=float(row["top1"]),
        top5=_float(row["top5"]),
        train_seconds=_float(row["train_seconds"]),
        eval_seconds=None,
        usd_per_node_hour=_float(row["usd_per_node_hour"]),
        price_date=row["price_date"] or None,
        published_cost_usd=_float(row["published_cost_usd"]),
        eval_resize=_int(row["eval_resize"]),
        eval_crop=_int(row["eval_crop"]),
        tta=row["tta"],
        clock=row["clock"],
        group=row["group"],
        resumed=0,
        commits=(),
        dirty=False,
        images_per_second=_float(row["images_per_second"]),
        data_wait_seconds=None,
        energy_kwh=None,
        source=f"{row['source']}; {row['note']}" if row["note"] else row["source"],
        path=None,
        sweep=None,
        command=_command(row),
        curve=(),
    )


def _command(row: dict[str, str]) -> str | None:
    """The command that trains the same run here; None for other recipes, or if the length is unknown."""
    if not row["ssr"] or not (paths.conf_dir() / "recipe" / f"{row['recipe']}.yaml").exists():
        return None
    words = [f"recipe={row['recipe']}", f"ssr={row['ssr']}", f"dataset={DATASET}"]
    words += [f"model={row['model']}"] if row["model"] != MODEL else []
    if (paths.conf_dir() / "hardware" / f"{row['hardware']}.yaml").exists():
        words.append(f"hardware={row['hardware']}")
    return shlex.join(["resnet_exp", *words])


def _algorithms(cell: str) -> tuple[str, ...] | None:
    return () if cell == NO_ALGORITHMS else tuple(cell.split()) or None


def _float(cell: str) -> float | None:
    return float(cell) if cell else None


def _int(cell: str) -> int | None:
    return int(cell) if cell else None
