"""The plan of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.config import disk_usage
from resnet_exp.config.checks import validate
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import HardwareConfig, ResolutionConfig, RunConfig
from resnet_exp.core.terminal.text import below_here, between, dollars, span
from resnet_exp.launch import summary
from resnet_exp.launch.dataset import changed_data
from resnet_exp.planning import expected_accuracy, other_hardware, schedule_text, training_time
from resnet_exp.planning.lines import Line, PlannedText, Range, check_runs_dir, measuring_command
from resnet_exp.planning.other_hardware import Elsewhere
from resnet_exp.planning.training_time import History
from resnet_exp.runs import states
from resnet_exp.runs.states import RunState

# Keys that make a run differ from its published recipe.
TRAINING = (
    "optimizer",
    "algorithms",
    "schedule",
    "resolution",
    "callbacks",
    "model.",
    "train_batch_size",
    "data.loader",
)


STATES = {"missing": "not started", "done": "done: the same command shows the result"}


@dataclass(frozen=True, kw_only=True, repr=False)
class RunPlan(PlannedText):
    """What one run would do, how long and for how much.

    Attributes:
        config: the configuration.
        images: training images of an epoch; None if their number is not known yet.
        batches: of the whole run; None if unknown.
        seconds: of training, without evaluation and start-up: lowest and highest estimate; None if unknown. Of a
            finished run, twice the measured time.
        basis: what the estimate is based on; empty for a measured time.
        cost_usd: of that time, in dollars; None without a time or a price.
        top1: lowest and highest top-1 (fractions) of similar runs; None if there are none.
        state: whether the run is done, running, not started.
        elsewhere: time and cost of the same run on other hardware.
    """

    config: RunConfig
    images: int | None
    batches: int | None
    seconds: Range | None
    basis: str
    cost_usd: Range | None
    top1: Range | None
    state: RunState
    elsewhere: Elsewhere


def plan_run(config: RunConfig) -> RunPlan:
    """The plan of a run.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.

    Raises:
        RequestError: the run would be refused.
    """
    runs_dir = Path(config.runs_dir)
    check_runs_dir(runs_dir)
    history = History(runs_dir)
    images = training_time.train_images(config, history)
    per_epoch = training_time.batches_per_epoch(config, images)
    state = _state(config, runs_dir)
    outlook = _outlook(config, history, state)
    expected = expected_accuracy.expected_top1(config, history, _changed(config))
    elsewhere = other_hardware.elsewhere([config], history)
    lines: list[Line] = [
        config.folder.path.name,
        *summary.description(config),
        ("batches", _batches(config, images, per_epoch)),
        ("images", schedule_text.sizes_text(config)),
        ("lr", schedule_text.learning_rate_text(config)),
        ("evaluated", _evaluation(config.resolution)),
        *_outlook_rows(config, outlook, per_epoch),
        *([] if state.top1 is not None else [("top-1", expected.text)]),
        ("disk", disk_usage.disk_text(config)),
        ("folder", below_here(config.folder.path)),
        ("state", _state_text(state, [how for _, how in changed_data([config])])),
        *(("note", note) for note in (*validate.notes(config), *history.notes())),
        *elsewhere.lines(),
    ]
    return RunPlan(
        config=config,
        images=images,
        batches=training_time.batches(config, per_epoch),
        seconds=outlook.seconds,
        basis=outlook.basis,
        cost_usd=outlook.cost_usd,
        top1=expected.top1 if state.top1 is None else (state.top1, state.top1),
        state=state,
        elsewhere=elsewhere,
        lines=tuple(lines),
    )


def _changed(config: RunConfig) -> bool:
    """Whether the command line changes what is trained beyond recipe, length, seed, model and data."""
    words = (word.lstrip("+~") for word in command_line.words_of(config.command or ""))
    return any(word.startswith(TRAINING) for word in words)


def _evaluation(resolution: ResolutionConfig) -> str:
    return f"at {resolution.eval_crop} px, the center of images of {resolution.eval_resize} px"


def _batches(config: RunConfig, images: int | None, per_epoch: int | None) -> str:
    total = training_time.batches(config, per_epoch)
    if images is None or per_epoch is None:
        counted = "unknown" if total is None else f"{total:,}"
        return f"{counted}; the number of training images is not known yet"
    return f"{total:,}, {per_epoch:,} an epoch of {images:,} images"


def _state(config: RunConfig, runs_dir: Path) -> RunState:
    if not runs_dir.is_dir():
        return RunState(config.folder.path.name, "missing", config.folder.path)
    return states.collect_states(runs_dir, [config.folder.path.name])[0]


def _state_text(state: RunState, changed: Sequence[str]) -> str:
    if changed:
        return f"{state.kind}, was trained on other images: {changed[0]}; the same command is refused"
    if state.kind in STATES:
        return STATES[state.kind]
    if state.kind == states.UNREADABLE:
        return state.why
    return f"{state.kind} at {state.epochs or 'its beginning'}" + (f": {state.why}" if state.why else "")


@dataclass(frozen=True)
class _Outlook:
    """Training time and its cost: measured, estimated, or unknown."""

    seconds: Range | None
    basis: str
    cost_usd: Range | None


def _outlook(config: RunConfig, history: History, state: RunState) -> _Outlook:
    seconds, basis = None, ""
    if state.train_seconds is not None:
        seconds = state.train_seconds, state.train_seconds
    elif found := training_time.estimate_time(config, history):
        seconds, basis = (found.low, found.high), found.basis
    if seconds is None:
        return _Outlook(None, "", None)
    low, high = (config.hardware.price_usd(each) for each in seconds)
    return _Outlook(seconds, basis, None if low is None or high is None else (low, high))


def _outlook_rows(config: RunConfig, outlook: _Outlook, per_epoch: int | None) -> Sequence[tuple[str, str]]:
    if outlook.seconds is None:
        ssr = training_time.measuring_ssr(config, per_epoch)
        return [
            ("time", f"unknown: run a short one first (ssr={ssr:g})"),
            ("measure", measuring_command(command_line.words_of(config.command or ""), ssr)),
            ("cost", f"unknown; {_hourly(config.hardware)}"),
        ]
    about = "about " if outlook.basis else ""
    time = f"{about}{between(*outlook.seconds, span)} to train"
    rows = [("time", time), ("basis", outlook.basis)] if about else [("time", f"{time}, as measured")]
    if outlook.cost_usd is None:
        return [*rows, ("cost", f"unknown; {_hourly(config.hardware)}")]
    text = f"{about}{between(*outlook.cost_usd, dollars)} to train, {_hourly(config.hardware)}"
    return [*rows, ("cost", text)]


def _hourly(hardware: HardwareConfig) -> str:
    if hardware.usd_per_node_hour is None:
        return f"hardware={hardware.name} has no price"
    return f"at {summary.hourly(hardware)}"
