"""Parse a finished run for the report from its ``result.json`` and ``metrics.jsonl``."""

from __future__ import annotations

import math
from typing import Any

from resnet_exp.core.files import parse_json
from resnet_exp.core.terminal.text import printable
from resnet_exp.results import datasets
from resnet_exp.results.record import RunRecord
from resnet_exp.runs.result import Result

# What `train_seconds` of our own runs covers.
CLOCK = "training"
Curve = tuple[tuple[float, float], ...]


def parse_curve(text: bytes) -> Curve:
    """Training seconds and top-1 of each row of a ``metrics.jsonl``; a truncated last line is dropped.

    Raises:
        ValueError: a row is not an evaluation.
    """
    # Parsing all lines as one JSON list is several times as fast as line by line.
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    return curve(parse_json(b"[%s]" % b",".join(lines)))


def curve(rows: list[dict[str, Any]]) -> Curve:
    """Like `parse_curve`, from rows that are already parsed."""
    try:
        found = tuple([(row["train_seconds"], row["top1"]) for row in rows])
        if all(0 <= seconds < math.inf and 0 <= top1 <= 1 for seconds, top1 in found):
            return found
    except (KeyError, TypeError) as error:
        raise ValueError("some rows are not evaluations") from error
    raise ValueError("there are numbers that cannot be")


def run_of_result(result: Result, run_id: str, curve: Curve, path: str | None) -> RunRecord:
    """A run from its result.

    Args:
        result: its outcome.
        run_id: name of its folder.
        curve: its evaluations.
        path: its folder, if it has one.
    """
    hardware, timing = result.hardware, result.timing
    return RunRecord(
        run_id=run_id,
        published=False,
        recipe=result.recipe_text,
        model=result.model,
        dataset=printable(datasets.name_of(result)),
        data=result.data,
        algorithms=result.algorithms,
        cloud=hardware.cloud,
        hardware=hardware.name,
        gpu=hardware.gpu,
        devices=hardware.devices,
        nodes=hardware.nodes,
        cpus=hardware.cpus,
        ssr=result.ssr,
        seed=result.seed,
        epochs=float(result.epochs),
        top1=result.top1,
        top5=result.top5,
        train_seconds=timing.train_seconds,
        eval_seconds=timing.eval_seconds,
        usd_per_node_hour=hardware.usd_per_node_hour,
        price_date=hardware.price_date,
        published_cost_usd=None,
        eval_resize=result.evaluation.eval_resize,
        eval_crop=result.evaluation.eval_crop,
        tta="",
        clock=CLOCK,
        group=result.group,
        resumed=result.resumed,
        commits=result.commits,
        dirty=result.dirty,
        images_per_second=result.images_per_second,
        data_wait_seconds=timing.data_wait_seconds,
        energy_kwh=None,
        source="",
        path=path,
        sweep=result.sweep,
        command=result.command,
        curve=curve,
        data_set_key=printable(datasets.key_of(result)),
        data_set_place=printable(datasets.place_of(result)),
    )
