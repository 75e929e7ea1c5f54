"""How accurate plans are: predicted minutes compared with published ones, and with those of your own runs.

    python benchmarks/plan.py                 published ImageNet runs, whose total times the prediction does not use
    python benchmarks/plan.py --runs RUNS     and each finished run of a folder, predicted from those of another length

The published clocks cover what docs/frontier.md says of them; own ones cover training alone. Needs no GPU and trains
nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from hydra import compose, initialize_config_dir

from resnet_exp.config import identity, resolvers, schedule
from resnet_exp.config.finalize import finalize
from resnet_exp.config.schema import RunConfig
from resnet_exp.core import paths
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import span
from resnet_exp.launch.config_file import stored_config
from resnet_exp.planning import training_time
from resnet_exp.planning.scaling import published_speeds
from resnet_exp.results.published_runs import published
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Result, read_result

# Published groups, what describes them here, and how many epochs they were stopped before the end.
CASES = (
    ("mosaicml-mlperf2.0-methods", ("recipe=mild", "ssr=0.32", "hardware=a100x8", "hardware.cpus=128"), 1),
    ("ailiverse-mlperf3.1-mild", ("recipe=mild", "ssr=0.32", "hardware=a100x8", "hardware.cpus=48"), 1),
    ("mosaicml-mild-2022", ("recipe=mild", "ssr=0.36", "hardware=p4d.24xlarge"), 0),
)
HEAD = f"{'run':<44}{'measured':>12}{'n':>4}{'planned':>12}{'off':>8}"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="a folder of finished runs")
    options = parser.parse_args()
    console.say(HEAD)
    for name, measured, planned in [*_published(), *(_own(options.runs) if options.runs else [])]:
        mean = statistics.fmean(measured)
        show = span
        console.say(f"{name:<44}{show(mean):>12}{len(measured):>4}{show(planned):>12}{planned / mean - 1:>+8.1%}")
    return 0


def _published() -> Iterator[tuple[str, list[float], float]]:
    resolvers.register()
    for group, overrides, stopped in CASES:
        with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
            words = [*overrides, "dataset=imagenet", "dataset.dir=/data/imagenet"]
            planned = finalize(compose("config", words))
        epochs, _ = schedule.scaled_duration(planned)
        batch = planned.train_batch_size
        images = training_time.KNOWN_SIZES["imagenet", 1000] // batch * batch
        (time,) = published_speeds.times(planned, images, epochs)
        # The last epochs are at full size.
        left_out = stopped * images / time.host.speeds[planned.resolution.train]
        measured = [run.train_seconds for run in published() if run.group == group and run.train_seconds]
        yield group, measured, time.seconds - left_out


def _own(runs_dir: Path) -> Iterator[tuple[str, list[float], float]]:
    groups: dict[str, list[tuple[RunConfig, Result]]] = {}
    for path in sorted(runs_dir.iterdir()):
        run = RunFolder(path)
        if result := read_result(run):
            made = stored_config(run)
            groups.setdefault(identity.group(made), []).append((made, result))
    history = training_time.History(runs_dir)
    for members in groups.values():
        made, result = members[0]
        others = [other for other in history.alike(made) if other.epochs != result.epochs]
        if others:
            speed = statistics.fmean(other.images_per_second for other in others)
            images = result.batches * made.train_batch_size
            measured = [member.timing.train_seconds for _, member in members]
            yield f"{made.recipe} ssr={made.ssr:g}, {result.epochs} epochs", measured, images / speed


if __name__ == "__main__":
    sys.exit(main())
