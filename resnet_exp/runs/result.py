"""``result.json``, what a finished run has reached, and ``progress.json``, how far a run is. Standard library only.

People copy, edit and merge these files. What cannot be, such as an accuracy of 1.7 or a time that is no number, must
not become a point of a frontier: whoever reads a result reads it here.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from functools import partial

from resnet_exp.core import cost, files
from resnet_exp.core.errors import RequestError
from resnet_exp.core.records import (
    Count,
    Fraction,
    Number,
    Positive,
    Text,
    Texts,
    Whole,
    from_json,
    is_object,
    read_record,
)
from resnet_exp.runs.folder import RunFolder

# What results called the speed until it had one name everywhere.
OLD_SPEED = "samples_per_second"


@dataclass(frozen=True)
class Evaluation:
    """How the images of an evaluation were cut: short side before the crop, and side of the crop, in pixels."""

    eval_resize: Count
    eval_crop: Count


@dataclass(frozen=True)
class EvaluationRow:
    """A line of ``metrics.jsonl``: one evaluation, after so many epochs, batches and seconds of training."""

    epoch: int
    batches: int
    train_seconds: float
    loss: float
    top1: float
    top5: float


@dataclass(frozen=True)
class Timing:
    """Seconds of training, of evaluations, from the start of the process to the first batch, of waiting for data."""

    train_seconds: Positive
    eval_seconds: Number
    startup_seconds: Number
    data_wait_seconds: Number


@dataclass(frozen=True)
class ResultHardware:
    """What a run was trained on, and the price of the day of an hour of one of its nodes."""

    name: Text
    cloud: Text | None
    devices: Whole  # of one node; 0 if it trains on its CPUs
    nodes: Count
    precision: Text
    gpu: Text | None
    cpus: Whole | None
    usd_per_node_hour: Positive | None
    price_date: Text | None


@dataclass(frozen=True)
class Result:
    """What a finished run has reached, in what time, on what, with which code. Fractions are of 1."""

    run_id: Text
    recipe: Text
    ssr: Positive
    seed: Whole
    model: Text
    dataset: Text
    data: Text
    algorithms: Texts
    group: Text  # the same for runs that differ in nothing but the seed
    sweep: Text | None
    command: Text | None  # command line that reproduces it
    commits: Texts  # of the code, in the order in which it trained the run
    dirty: bool  # the code had changes that no commit has
    epochs: Whole
    batches: Whole
    train_images: Whole
    val_images: Whole
    top1: Fraction
    top5: Fraction
    eval_loss: Number
    evaluation: Evaluation
    images_per_second: Number
    resumed: Whole
    timing: Timing
    hardware: ResultHardware

    @property
    def cost_usd(self) -> float | None:
        """What the training time costs; None without a price."""
        return cost.cost_usd(self.timing.train_seconds, self.hardware.usd_per_node_hour, self.hardware.nodes)


def result_of(values: object) -> Result:
    """The result that a JSON object is.

    Raises:
        ValueError: it is none; the message says why.
    """
    if not is_object(values) or values.get("schema") != files.SCHEMA:
        raise ValueError("it is no result of this version")
    if OLD_SPEED in values:
        values = {"images_per_second": values[OLD_SPEED], **values}
    return from_json(Result, values)


def parse_result(text: bytes) -> Result:
    """The result that is the content of a ``result.json``.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is damaged ({error})") from error
    return result_of(values)


def read_result(run: RunFolder) -> Result | None:
    """The result of a finished run, else None.

    Raises:
        RequestError: it has one that cannot be used.
    """
    return read_record(run.result, result_of)


def result_json(result: Result) -> dict[str, object]:
    """A result as the JSON object that `result_of` reads."""
    return {"schema": files.SCHEMA, **asdict(result)}


def write_result(run: RunFolder, result: Result) -> None:
    """Write ``result.json``, with which a run is done."""
    files.write_json(run.result, result_json(result))


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` epochs or batches, its last top-1, seconds left at the pace of this try."""

    done: Whole
    total: Whole
    unit: Text
    top1: Fraction | None
    eta_seconds: Number | None
    time: Number  # when it was written, in seconds since 1970
    attempt: Text | None = None  # of `slurm.attempt`


def read_progress(run: RunFolder) -> Progress | None:
    """How far a run is; None where that is not known: it is only news."""
    with contextlib.suppress(RequestError):
        return read_record(run.progress, partial(from_json, Progress))
    return None


def write_progress(run: RunFolder, progress: Progress) -> None:
    """Write ``progress.json``, if that is possible.

    Neither the disk's pace nor its being full is a matter of training: no fsync, no complaint.
    """
    temporary = run.progress.with_name(".progress.json")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(run.progress)
