"""The first and the last lines that a run prints."""

from __future__ import annotations

import textwrap
from pathlib import Path

from resnet_exp.config import fit, schedule
from resnet_exp.config.checks import validate, workers
from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core.cost import Priced
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.terminal.text import dollars, plural, span
from resnet_exp.data.images import shipped
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Result, recipe_text

NAME_WIDTH = 9
# A row that is a list of its own is wrapped in a log too.
LIST, LOG_WIDTH = "fit", 100


def header(config: RunConfig, folder: RunFolder, width: int | None = None) -> str:
    """The rows printed before training: model, data, devices, folder; and how to train on ImageNet.

    Rows are wrapped to `width` characters; None does not wrap.
    """
    rows = [*description(config), ("folder", str(folder.path))]
    if folder.latest_checkpoint.exists():
        rows.append(("resuming", f"from {folder.latest_checkpoint.resolve().name}"))
    if config.dataset.name in shipped.ALL:
        command = f"resnet_exp recipe={recipe_text(config.recipe, config.speed.name)} ssr={config.ssr}"
        rows.append(("ImageNet", f"{command} dataset=imagenet dataset.dir=/path/to/imagenet"))
    rows += [("note", note) for note in (*validate.notes(config), *workers.core_notes(config))]
    return "\n".join([folder.path.name, *(row(name, text, width) for name, text in rows)])


def description(config: RunConfig) -> list[tuple[str, str]]:
    """Training, data, devices and methods of a run: rows of a name and a text."""
    length, unit = schedule.scaled_duration(config)
    hardware, dataset = config.hardware, config.dataset
    whole = plural(length, "epoch" if unit == "ep" else "batch")
    return [
        ("training", f"{config.model.name} with recipe={recipe_text(config.recipe, config.speed.name)}: {whole} "
                     f"({config.schedule.max_duration} x ssr={config.ssr}), "
                     f"{config.train_batch_size} images a batch"),
        ("data", f"{dataset.title or dataset.name}; {dataset.num_classes} classes, "
                 f"trained at {config.resolution.train} px, data={config.data.name}"),
        ("device", f"{devices(hardware)}, {precision(hardware)}{', compiled' * config.speed.compile}"),
        ("methods", ", ".join(config.algorithms) or "none"),
        *([(LIST, text)] if (text := fit.text(config)) is not None else []),
        *([("start", f"from the weights of {config.init_from}")] if config.init_from is not None else []),
    ]  # fmt: skip


def row(name: str, text: str, width: int | None) -> str:
    """One named row of a summary, wrapped to `width` characters unless that is None, as in a log."""
    line = f"  {name:<{NAME_WIDTH}}  {text}"
    width = LOG_WIDTH if width is None and name == LIST else width
    # A wrapped command or path could not be copied.
    if width is None or name in ("ImageNet", "folder", "measure", "command"):
        return line
    indent = " " * (NAME_WIDTH + 4)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def devices(hardware: HardwareConfig) -> str:
    """The devices of a run as text: ``8 x A100 40GB``."""
    if hardware.device == "cpu":
        return f"{usable_cpus()} CPU cores"
    nodes = f"{hardware.nodes} nodes of " if hardware.nodes > 1 else ""
    return f"{nodes}{hardware.devices} x {hardware.gpu or 'GPU'}"


def precision(hardware: HardwareConfig) -> str:
    """The precision of a run as text: on a GPU, Composer's fp32 is TF32 where that is faster."""
    tf32 = hardware.device == "gpu" and hardware.precision == "fp32"
    return "fp32 (TF32 in convolutions and matrix products)" if tf32 else hardware.precision


def table(result: Result, path: Path, width: int | None = None) -> str:
    """The result of a run in a few aligned lines; `width` as in `header`."""
    timing = result.timing
    waiting = timing.data_wait_seconds / timing.train_seconds
    trained = f"{plural(result.epochs, 'epoch')} ({plural(result.batches, 'batch')})"
    rows = [
        ("top-1", f"{result.top1:6.2%}  of {plural(result.val_images, 'image')}, each seen once"),
        ("top-5", f"{result.top5:6.2%}"),
        ("trained", f"{trained} in {span(timing.train_seconds)}"),
        ("evaluated", f"in another {span(timing.eval_seconds)}"),
        ("speed", f"{result.images_per_second:,.0f} images/s; {waiting:.1%} of the time waiting for data"),
        *_cost_row(result),
    ]
    if times := result.resumed:
        rows.append(("resumed", "once" if times == 1 else f"{times} times"))
    rows.append(("folder", str(path)))
    return "\n".join(row(name, text, width) for name, text in rows)


def _cost_row(result: Result) -> list[tuple[str, str]]:
    if result.cost_usd is None:
        return []
    return [("cost", f"{dollars(result.cost_usd)} to train, at {hourly(result.hardware)}")]


def hourly(hardware: Priced) -> str:
    """The hourly price of a node and its date, as text."""
    nodes = f" for each of {hardware.nodes} nodes" if hardware.nodes > 1 else ""
    dated = f" (price of {hardware.price_date})" if hardware.price_date else ""
    return f"${hardware.usd_per_node_hour:.2f} an hour{nodes}{dated}"
