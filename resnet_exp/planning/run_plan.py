"""The plan of a run, as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from resnet_exp.config import disk_usage
from resnet_exp.config.checks import validate
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import HardwareConfig, LauncherConfig, ResolutionConfig, RunConfig, SlurmLauncherConfig
from resnet_exp.core.errors import EXIT_DONE, RequestError
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import below_here, between, dollars, span
from resnet_exp.launch import summary
from resnet_exp.launch.dataset import changed_data
from resnet_exp.planning import (
    expected_accuracy,
    other_hardware,
    schedule_text,
    sweep_plan,
    target_accuracy,
    training_time,
)
from resnet_exp.planning.training_time import History
from resnet_exp.reporting.curves import save
from resnet_exp.runs import states
from resnet_exp.runs.states import RunState
from resnet_exp.sweep.planned import Sweep

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


def _changed() -> bool:
    """Whether the command line changes what is trained beyond recipe, length, seed, model and data."""
    words = (word.lstrip("+~") for word in command_line.as_typed(HydraConfig.get().overrides.task))
    return any(word.startswith(TRAINING) for word in words)


def show_target(config: RunConfig, goal: float) -> int:
    """Print the cheapest and the fastest way to reach a top-1 of `goal`; returns the exit code."""
    words = command_line.as_typed(HydraConfig.get().overrides.task)
    named = any(word.startswith(("dataset=", "dataset.dir=")) for word in words)
    _print(target_accuracy.target_lines(goal, _runs_dir(config.runs_dir), config if named else None))
    return EXIT_DONE


def show_run(config: RunConfig, picture: Path | None = None) -> int:
    """Print what one run would do, and draw its schedule into `picture`; returns the exit code.

    Raises:
        RequestError: the run would be refused.
    """
    runs_dir = _runs_dir(config.runs_dir)
    history = History(runs_dir)
    images = training_time.train_images(config, history)
    per_epoch = training_time.batches_per_epoch(config, images)
    state = _state(config, runs_dir)
    rows = [
        *summary.description(config),
        ("batches", _batches(config, images, per_epoch)),
        ("images", schedule_text.sizes_text(config)),
        ("lr", schedule_text.learning_rate_text(config)),
        ("evaluated", _evaluation(config.resolution)),
        *_outlook(config, history, per_epoch, state),
        *([] if state.top1 is not None else [("top-1", expected_accuracy.top1_text(config, history, _changed()))]),
        ("disk", disk_usage.disk_text(config)),
        ("folder", below_here(config.folder.path)),
        ("state", _state_text(state, [how for _, how in changed_data([config])])),
        *(("note", note) for note in (*validate.notes(config), *history.notes())),
    ]
    _print([config.folder.path.name, *rows, *other_hardware.other_hardware_lines([config], history)])
    if picture is not None:
        save(schedule_text.draw(config), picture, f"{PICTURE}={picture}")
        console.say(f"wrote {picture}")
    return EXIT_DONE


def show_sweep(sweep: Sweep, launcher: LauncherConfig, words: Sequence[str]) -> int:
    """Print what a sweep with `launcher` and the arguments `words` would do; returns the exit code."""
    _runs_dir(str(sweep.runs_dir))
    on_slurm = isinstance(launcher, SlurmLauncherConfig)
    options = command_line.options_on_slurm(words) if on_slurm else command_line.options_here(words)
    _print(sweep_plan.sweep_lines(sweep, launcher, lambda run, ssr: command([*options, *run.overrides], ssr)))
    return EXIT_DONE


def _print(lines: Iterable[sweep_plan.Line]) -> None:
    console.say("\n".join(summary.row(*line, console.width()) if isinstance(line, tuple) else line for line in lines))


def command(words: Iterable[str], ssr: float) -> str:
    """The command line that runs `words` with another ssr."""
    kept = [word for word in words if not re.match(r"\+{0,2}(ssr=|sweep=(?!null))", word)]
    return command_line.command_of([*kept, f"ssr={ssr:g}"])


def _runs_dir(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise RequestError(f"runs_dir={path} is not a folder; set runs_dir=PATH")
    return path


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


def _outlook(config: RunConfig, history: History, per_epoch: int | None, state: RunState) -> Sequence[tuple[str, str]]:
    if state.train_seconds is not None:
        low = high = state.train_seconds
        about = ""
        rows = [("time", f"{span(state.train_seconds)} to train, as measured")]
    elif found := training_time.estimate_time(config, history):
        low, high, about = found.low, found.high, "about "
        rows = [("time", f"about {between(low, high, span)} to train"), ("basis", found.basis)]
    else:
        ssr = training_time.measuring_ssr(config, per_epoch)
        return [
            ("time", f"unknown: run a short one first (ssr={ssr:g})"),
            ("measure", command(command_line.words_of(config.command or ""), ssr)),
            ("cost", f"unknown; {_hourly(config.hardware)}"),
        ]
    costs = [config.hardware.price_usd(seconds) for seconds in (low, high)]
    if None in costs:
        return [*rows, ("cost", f"unknown; {_hourly(config.hardware)}")]
    text = f"{about}{between(costs[0], costs[1], dollars)} to train, {_hourly(config.hardware)}"
    return [*rows, ("cost", text)]


def _hourly(hardware: HardwareConfig) -> str:
    if hardware.usd_per_node_hour is None:
        return f"hardware={hardware.name} has no price"
    return f"at {summary.hourly(hardware)}"


PICTURE, TARGET = "picture", "target_top1"
