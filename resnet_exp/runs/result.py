"""``result.json``: the outcome of a finished run. ``progress.json``: how far a run is. Standard library only.

People copy, edit and merge these files. Impossible values, such as an accuracy of 1.7 or a NaN time, must
not become a point of a frontier. So every reader of a result reads it here.
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
    Unbounded,
    Whole,
    from_json,
    is_object,
    read_record,
)
from resnet_exp.runs.folder import RunFolder

# Earlier name of the speed in results.
OLD_SPEED = "samples_per_second"
# The original's arithmetic: ``speed=`` of every recipe, and of results that do not say.
FAITHFUL = "faithful"


def recipe_text(recipe: str, speed: str = FAITHFUL, weights: str | None = None) -> str:
    """What tells how a run was trained.

    The recipe; ``speed=`` where that is not the original's arithmetic; ``init_from=`` and the name of the weights where
    they were not fresh.
    """
    more = [f"speed={speed}"] * (speed != FAITHFUL) + [f"init_from={weights}"] * (weights is not None)
    return " ".join([recipe, *more])


@dataclass(frozen=True)
class Evaluation:
    """How evaluation images were resized and cropped: short side before the crop, and side of the crop, in pixels."""

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
    """Seconds of training, of evaluation, of start-up until the first batch, and of waiting for data."""

    train_seconds: Positive
    eval_seconds: Number
    startup_seconds: Number
    data_wait_seconds: Number


@dataclass(frozen=True)
class ResultHardware:
    """What a run was trained on, and the hourly price of one of its nodes on that day."""

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
    """The outcome of a finished run: accuracy, time, hardware, code. Accuracies are fractions (0 to 1)."""

    run_id: Text
    recipe: Text
    ssr: Positive
    seed: Whole
    model: Text
    dataset: Text
    data: Text
    algorithms: Texts
    group: Text  # the same for runs that differ only in the seed
    sweep: Text | None
    command: Text | None  # command line that reproduces it
    commits: Texts  # commits of the code, in the order in which they trained the run
    dirty: bool  # the code had uncommitted changes
    epochs: Whole
    batches: Whole
    train_images: Whole
    val_images: Whole
    top1: Fraction
    top5: Fraction
    eval_loss: Unbounded  # of a model that has diverged, it can be anything
    evaluation: Evaluation
    images_per_second: Number
    resumed: Whole
    timing: Timing
    hardware: ResultHardware
    # Of the classes and images, whatever `dataset` is called; None in results of an earlier version.
    data_set: Text | None = None
    data_set_fingerprint: Text | None = None
    speed: Text = FAITHFUL
    # The name of the weights that it started from; None for fresh ones, and in results of an earlier version.
    init_from: Text | None = None

    @property
    def recipe_text(self) -> str:
        """The recipe, as readers of results name it."""
        return recipe_text(self.recipe, self.speed, self.init_from)

    @property
    def cost_usd(self) -> float | None:
        """Cost of the training time in dollars; None without a price."""
        return cost.cost_usd(self.timing.train_seconds, self.hardware.usd_per_node_hour, self.hardware.nodes)


def result_of(values: object) -> Result:
    """Parse a JSON object as a result.

    Raises:
        ValueError: it is not a result; the message says why.
    """
    if not is_object(values) or values.get("schema") != files.SCHEMA:
        raise ValueError("it is not a result of this version")
    if OLD_SPEED in values:
        values = {"images_per_second": values[OLD_SPEED], **values}
    return from_json(Result, values)


def parse_result(text: bytes) -> Result:
    """Parse the content of a ``result.json``.

    Raises:
        ValueError: it is not a result; the message says why.
    """
    try:
        values = files.parse_json(text)
    except ValueError as error:
        raise ValueError(f"it is damaged ({error})") from error
    return result_of(values)


def read_result(run: RunFolder) -> Result | None:
    """The result of a finished run, else None.

    Raises:
        RequestError: the result cannot be used.
    """
    return read_record(run.result, result_of)


def result_json(result: Result) -> dict[str, object]:
    """A result as the JSON object that `result_of` reads."""
    return {"schema": files.SCHEMA, **asdict(result)}


def write_result(run: RunFolder, result: Result) -> None:
    """Write ``result.json``, which marks the run as done."""
    files.write_json(run.result, result_json(result))


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` epochs or batches, its last top-1, seconds left at this attempt's speed."""

    done: Whole
    total: Whole
    unit: Text
    top1: Fraction | None
    eta_seconds: Number | None
    time: Number  # when it was written, in seconds since 1970
    attempt: Text | None = None  # `slurm.attempt` of the writer


def read_progress(run: RunFolder) -> Progress | None:
    """How far a run is; None if that is unknown or unreadable, since it is only informational."""
    with contextlib.suppress(RequestError):
        return read_record(run.progress, partial(from_json, Progress))
    return None


def write_progress(run: RunFolder, progress: Progress) -> None:
    """Write ``progress.json``, if possible.

    A slow or full disk must not affect training: no fsync, and errors are ignored.
    """
    temporary = run.progress.with_name(".progress.json")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(run.progress)
