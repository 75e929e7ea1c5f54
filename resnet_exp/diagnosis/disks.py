"""Speed of the disks against the plan."""

from __future__ import annotations

from pathlib import Path

from resnet_exp.config import disk_usage
from resnet_exp.config.schedule import scaled_duration
from resnet_exp.core.errors import RequestError
from resnet_exp.core.object_store import is_url
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import byte_size, printable, span
from resnet_exp.data import formats
from resnet_exp.diagnosis.subject import Subject, ask_child
from resnet_exp.launch.preflight import Findings, nearest_folder

PROBE = "resnet_exp.diagnosis.disk_probe"
# A measurement takes a second or two.
PATIENCE_SECONDS = 20
# Of the time between two checkpoints, writing one should take no more.
CHECKPOINT_SHARE = 0.05
# Seconds that clocks may differ.
SAME_TIME = 5


def check_disks(subject: Subject) -> Findings:
    """Measure the folder of the runs, and what images are read from."""
    config = subject.config
    runs = nearest_folder(config.folder.path)
    try:
        (measured,) = ask_child(PROBE, "write", str(runs), seconds=PATIENCE_SECONDS)
    except RequestError as error:
        yield Finding("runs_dir", "bad", f"runs_dir={printable(config.runs_dir)}: {error}", "set runs_dir=PATH")
    else:
        yield from _written(subject, measured)
    if (place := _read_from(subject)) is not None:
        yield from _reading(subject, place)


def _written(subject: Subject, measured: dict[str, float]) -> Findings:
    config = subject.config
    size, rate = disk_usage.checkpoint_bytes(config), measured["bytes"] / measured["seconds"]
    seconds = size / rate
    found = f"runs_dir takes {byte_size(rate)}/s; a checkpoint of {byte_size(size)} in {seconds:.2f} s"
    length, unit = scaled_duration(config)
    between = None if subject.plan is None or unit != "ep" else subject.plan.seconds / length
    if between is not None and config.checkpoint_interval == "1ep" and seconds > CHECKPOINT_SHARE * between:
        fix = "set runs_dir= to a faster disk, or checkpoint_interval=5ep"
        yield Finding("runs_dir", "note", f"{found}, an epoch shall take {span(between)}", fix)
    else:
        yield Finding("runs_dir", "ok", found)
    if abs(measured["ahead"]) > SAME_TIME:
        direction = "ahead of" if measured["ahead"] > 0 else "behind"
        found = f"the clock of runs_dir's disk is {span(abs(measured['ahead']))} {direction} that of this machine"
        yield Finding("clock", "note", found, "synchronize the clocks of this machine and the file server (NTP)")


def _read_from(subject: Subject) -> Path | None:
    """The training images on a disk: a file, or a folder of shards, Parquet files or images; None if there are none."""
    config = subject.config
    found, files = formats.format_of(config.data.loader), formats.files_of(config.data.loader, config.data.cache_dir)
    if found is formats.SYNTHETIC or not (files or config.dataset.root) or is_url(config.dataset.root):
        return None
    place = Path(config.dataset.root) / "train"
    if formats.needs_folder(config.data.loader, config.data.cache_dir) and not place.exists():
        return None  # a data set in the box, before the first run
    if (
        files is not None
        and found is not formats.IMAGE_FOLDER
        and (stored := files.place_of(config.dataset.root, "train")).exists()
    ):
        place = stored
    return place if place.exists() else None


def _reading(subject: Subject, place: Path) -> Findings:
    shown = printable(place)
    try:
        (measured,) = ask_child(PROBE, "read", str(place), seconds=PATIENCE_SECONDS)
    except RequestError as error:
        yield Finding("images", "bad", f"{shown}: {error}", "see the disk and its network, or name another copy")
        return
    if not measured["bytes"]:
        return
    rate = measured["bytes"] / measured["seconds"]
    each = measured["image_bytes"]
    if each == 0 and (images := _images(subject)):
        each = measured["whole"] / images
    found = f"{shown} gives {byte_size(rate)}/s"
    if not each:
        yield Finding("images", "ok", found)
        return
    speed = rate / each
    found += f", {speed:,.0f} images/s"
    plan = subject.plan
    if plan is None or speed >= plan.images_per_second:
        yield Finding("images", "ok", found)
        return
    found += f"; the plan has {plan.images_per_second:,.0f} images/s"
    fix = "copy it to a local disk (data.cache_dir=PATH), or into memory: what is read once stays there if it fits"
    yield Finding("images", "note", found, fix)


def _images(subject: Subject) -> int | None:
    config = subject.config
    files = formats.files_of(config.data.loader, config.data.cache_dir)
    scan = None if files is None else files.scan(config.dataset.root, "train")
    return None if scan is None else sum(scan.state.class_images)
