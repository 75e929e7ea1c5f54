"""What a training step launches, waits for and asks of other ranks, and the time of its host beside the model.

    python benchmarks/step_counts.py
    python benchmarks/step_counts.py --against DIR

Kernels, waits and collectives of ResNet-50 are counted on a simulated GPU (benchmarks/simulated_gpu.py): one rank,
float32, loss scaling as with ``amp_fp16``. The time is CPU time of the main thread from the end of one batch to the
end of the next, of a run of ``recipe=mild`` on the CPU whose network is one small linear layer on 8x8 pixels: the
loader, Composer, algorithms, callbacks, and the terminal's progress. Rounds of this checkout and of DIR alternate, each
in a new process of 500 batches, of which the first 50 are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from resnet_exp.core.terminal import console

RECIPES = ("baseline", "mild", "medium", "hot")
HERE = Path(__file__).resolve().parent
BATCHES, SKIPPED = 500, 50


def count(recipe: str) -> dict[str, object]:
    """Counts of a usual step, of one with an update of the average, and of one of SAM."""
    from simulated_gpu import StepCounts, count_steps

    intervals = {
        "mild": ["algorithms.ema.update_interval=5ba", "algorithms.ema.half_life=25ba"],
        "medium": ["algorithms.ema.update_interval=5ba", "algorithms.ema.half_life=25ba", "algorithms.sam.interval=7"],
        "hot": ["algorithms.ema.update_interval=5ba", "algorithms.ema.half_life=25ba", "algorithms.sam.interval=7"],
    }
    steps = count_steps(recipe, 10, *intervals.get(recipe, []))
    # The average starts in batch 4, with copies of all weights; batch 6 is SAM's.
    chosen = {"usual": steps[2]}
    if recipe != "baseline":
        chosen["average"] = steps[9]
    if recipe in ("medium", "hot"):
        chosen["SAM"] = steps[6]

    def numbers(step: StepCounts) -> dict[str, object]:
        return {
            "kernels": step.kernels.total(),
            "waits": step.waits.total(),
            "collectives": step.collectives.total(),
            "names": {"waits": step.waits, "collectives": step.collectives},
        }

    return {name: numbers(step) for name, step in chosen.items()}


def host_milliseconds() -> float:
    """Median CPU time of the main thread for a step whose model costs next to nothing."""
    import torch
    from composer.core import Callback, State
    from composer.loggers import Logger
    from simulated_gpu import build_training
    from torch import Tensor, nn

    from resnet_exp.config.schema import ModelConfig
    from resnet_exp.training import trainer

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 1000)

        def forward(self, images: Tensor) -> Tensor:
            return self.linear(images.mean((2, 3)))

    class Clock(Callback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def batch_checkpoint(self, state: State, logger: Logger) -> None:
            self.ends.append(time.thread_time())

    build_model = trainer.build_model

    def build_tiny(config: ModelConfig) -> nn.Module:
        model = build_model(config)
        model.module = Tiny()
        return model

    torch.set_num_threads(1)
    trainer.build_model = build_tiny  # pyright: ignore
    clock = Clock()
    sizes = [f"resolution.{name}=8" for name in ("train", "eval_crop", "eval_resize")]
    with tempfile.TemporaryDirectory() as runs:
        images = f"data.loader.train_images={8 * BATCHES}"
        words = ["recipe=mild", "~algorithms.blurpool", "model=resnet14", "loggers=[progress]", "train_batch_size=8"]
        training = build_training(runs, *words, *sizes, images, "schedule.max_duration=1ep", "ssr=1")
        training.trainer.state.callbacks.append(clock)
        training.trainer.fit()
        training.trainer.close()
    steps = [end - begin for begin, end in zip(clock.ends[SKIPPED:], clock.ends[SKIPPED + 1 :], strict=False)]
    return 1000 * statistics.median(steps)


def measured(checkout: Path, what: str) -> str:
    """What a new process says that runs this file with the code of a checkout."""
    environ = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", str(HERE / "step_counts.py"), "--only", what]
    return subprocess.run(words, env=environ, cwd=checkout, check=True, text=True, stdout=subprocess.PIPE).stdout


def spread(values: list[float]) -> str:
    """The range of some values."""
    return f"[{min(values):.2f}-{max(values):.2f}]"


def main() -> None:
    """Count and measure, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path, help="another checkout, to compare with")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the time (7)")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        console.say(json.dumps(host_milliseconds() if options.only == "host" else count(options.only)))
        return
    checkouts = {"this": HERE.parent, **({"other": options.against.resolve()} if options.against else {})}
    console.say("| recipe | step | code | kernels | waits | collectives |")
    for recipe in RECIPES:
        for name, checkout in checkouts.items():
            for step, found in json.loads(measured(checkout, recipe).splitlines()[-1]).items():
                console.say(
                    f"| {recipe} | {step} | {name} | {found['kernels']:,} | {found['waits']} | {found['collectives']} |"
                )
    times: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in range(options.rounds):
        for name, checkout in checkouts.items():
            times[name].append(json.loads(measured(checkout, "host").splitlines()[-1]))
    for name, found in times.items():
        console.say(f"{name}: {statistics.median(found):.2f} ms of the host {spread(found)}, n = {len(found)}")
    if len(times) == 2:
        ratios = [one / other for one, other in zip(*times.values(), strict=True)]
        console.say(f"this / other: {statistics.median(ratios):.2f} {spread(ratios)}")


if __name__ == "__main__":
    main()
