"""``python -m resnet_exp.plan ...``: what a run or a sweep would do, how long, for how much; starts nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from resnet_exp import check, cli, commands, console, estimate, launch, plan_sweep, states, summary
from resnet_exp.errors import EXIT_DONE, RequestError
from resnet_exp.estimate import History, below_here, between
from resnet_exp.states import RunState
from resnet_exp.sweep import Sweep

HELP = """\
What a run or a sweep would do, how long and for how much. Starts nothing, writes nothing, and needs neither the data
nor the GPUs.

  python -m resnet_exp.plan recipe=mild ssr=0.36 dataset=imagenet dataset.dir=PATH hardware=p4d.24xlarge
  python -m resnet_exp.plan -m recipe=mild,hot ssr=0.1,0.2 seed=17,18,19

Put .plan behind resnet_exp in the command line that is to be planned. python -m resnet_exp --help shows what it may
hold.

Times are of training alone, without evaluation and start-up. Each rests, in this order, on
  1. finished runs of the same kind in runs_dir: their mean images/s;
  2. published runs of the same recipe on the same hardware;
  3. nothing: then it is unknown, and a command is shown that measures it in one epoch.
A cost is that time at the price of hardware=NAME, of the date that is shown.

Exit code: 0 planned, 2 the request is wrong."""
STATES = {"missing": "not started", "done": "done: the same command shows the result"}


def main() -> int:
    """Command line; returns the exit code."""
    if any(word in ("-h", "--help") for word in sys.argv[1:]):
        console.say(HELP)
        return EXIT_DONE
    return cli.run_hydra(show_run, show_sweep, writes=False)


def show_run(config: dict[str, Any]) -> int:
    """Say what one run would do; returns the exit code.

    Raises:
        RequestError: the run would be refused.
    """
    runs_dir = _runs_dir(config["runs_dir"])
    history = History(runs_dir)
    per_epoch = estimate.batches_per_epoch(config, images := estimate.train_images(config, history))
    rows = [
        *summary.description(config),
        ("images", _sizes(config)),
        ("batches", _batches(config, images, per_epoch)),
        *_outlook(config, history, per_epoch, state := _state(config, runs_dir)),
        ("folder", below_here(launch.folder_of(config).path)),
        ("state", _state_text(state)),
        *(("note", note) for note in check.notes(config)),
    ]
    console.say("\n".join([config["run_id"], *(summary.row(name, text, console.width()) for name, text in rows)]))
    return EXIT_DONE


def show_sweep(sweep: Sweep, how: str, settings: dict[str, Any]) -> int:
    """Say what a sweep would do that is carried out by the launcher `how`; returns the exit code."""
    _runs_dir(str(sweep.runs_dir))
    options = commands.options_on_slurm() if how == "slurm" else commands.options()
    lines = plan_sweep.lines(sweep, how, settings, lambda run, ssr: command([*options, *run.overrides], ssr))
    console.say("\n".join(summary.row(*line, console.width()) if isinstance(line, tuple) else line for line in lines))
    return EXIT_DONE


def command(words: Iterable[str], ssr: float) -> str:
    """The command line that runs `words` with another ssr."""
    kept = [word for word in words if not re.match(r"\+{0,2}(ssr=|sweep=(?!null))", word)]
    return commands.of([*kept, f"ssr={ssr:g}"])


def _runs_dir(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise RequestError(f"runs_dir={path} is not a folder; set runs_dir=PATH")
    return path


def _sizes(config: dict[str, Any]) -> str:
    resolution = config["resolution"]
    full = resolution["train"]
    text = f"{full} px"
    if resizing := config["algorithms"].get("progressive_resizing"):
        # As composer.algorithms.ProgressiveResizing rounds.
        step = resizing["size_increment"]
        text = f"{round(full * resizing['initial_scale'] / step) * step} to {full} px (progressive resizing)"
    return f"trained at {text}, evaluated at {resolution['eval_crop']} px from {resolution['eval_resize']} px"


def _batches(config: dict[str, Any], images: int | None, per_epoch: int | None) -> str:
    total = estimate.batches(config, per_epoch)
    if images is None or per_epoch is None:
        counted = "unknown" if total is None else f"{total:,}"
        return f"{counted}; the number of training images is not known yet"
    return f"{total:,}, {per_epoch:,} an epoch of {images:,} images"


def _state(config: dict[str, Any], runs_dir: Path) -> RunState:
    if not runs_dir.is_dir():
        return RunState(config["run_id"], "missing", launch.folder_of(config).path)
    return states.collect(runs_dir, [config["run_id"]])[0]


def _state_text(state: RunState) -> str:
    if state.kind in STATES:
        return STATES[state.kind]
    return f"{state.kind} at {state.epochs or 'its beginning'}" + (f": {state.why}" if state.why else "")


def _outlook(
    config: dict[str, Any], history: History, per_epoch: int | None, state: RunState
) -> Sequence[tuple[str, str]]:
    if state.train_seconds is not None:
        low = high = state.train_seconds
        about = ""
        rows = [("time", f"{console.span(state.train_seconds)} to train, as measured")]
    elif found := estimate.estimate(config, history):
        low, high, about = found.low, found.high, "about "
        rows = [("time", f"about {between(low, high, console.span)} to train"), ("basis", found.basis)]
    else:
        ssr = estimate.measuring_ssr(config, per_epoch)
        words = [*commands.options(), *HydraConfig.get().overrides.task]
        return [
            ("time", f"unknown: run one epoch first (ssr={ssr:g})"),
            ("measure", command(words, ssr)),
            ("cost", f"unknown; {_hourly(config['hardware'])}"),
        ]
    costs = [summary.price(config["hardware"], seconds) for seconds in (low, high)]
    if None in costs:
        return [*rows, ("cost", f"unknown; {_hourly(config['hardware'])}")]
    text = f"{about}{between(costs[0], costs[1], plan_sweep.dollars)} to train, {_hourly(config['hardware'])}"
    return [*rows, ("cost", text)]


def _hourly(hardware: dict[str, Any]) -> str:
    if hardware["usd_per_node_hour"] is None:
        return f"hardware={hardware['name']} has no price"
    return f"at {summary.hourly(hardware)}"


if __name__ == "__main__":
    sys.exit(main())
