"""The images of a run: are they there, and do they match the configuration?"""

from __future__ import annotations

import shutil
from pathlib import Path

from resnet_exp.config import disk_usage
from resnet_exp.core.errors import RunFailed
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import byte_size, plural, printable
from resnet_exp.data import formats
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.images import shipped
from resnet_exp.diagnosis.subject import Subject
from resnet_exp.launch.dataset import check_same_data, scan_of
from resnet_exp.launch.preflight import Findings, nearest_folder
from resnet_exp.launch.prepare import check_images


def check_data(subject: Subject) -> Findings:
    """Check the images and what they were converted to, as a run does, but write nothing.

    Raises:
        RequestError: a run would be refused.
    """
    config = subject.config
    data, dataset = config.data, config.dataset
    if formats.format_of(data.loader) is formats.SYNTHETIC:
        yield Finding("data", "ok", "synthetic images, made in memory")
        return
    in_the_box = shipped.ALL.get(dataset.name)
    if in_the_box is not None and not in_the_box.folder_below(data.cache_dir).is_dir():
        in_the_box.check()
        yield Finding("data", "ok", f"{in_the_box.title}, which the first run writes into data.cache_dir")
        return
    notes: list[str] = []
    check_images(config, notes.append)
    files = formats.files_of(data.loader, data.cache_dir)
    missing = {}
    if files is not None:
        options = ConversionOptions(usable_cpus(), notes.append, 0, dataset.num_classes)
        try:
            missing = files.check(dataset.root, options)
        except RunFailed as error:  # of an object store
            yield Finding("data", "bad", str(error), "see docs/object-stores.md, and the network of this machine")
            return
    check_same_data(config)
    yield from (Finding("data", "note", note.removeprefix("note: "), "leave it if you mean it") for note in notes)
    if missing:
        yield _to_convert(subject)
        return
    scan = scan_of(config, "train")
    images = "" if scan is None else f", {plural(sum(scan.state.class_images), 'image')} to train on"
    yield Finding("data", "ok", f"data={data.name} of dataset={dataset.name}{images}")


def _to_convert(subject: Subject) -> Finding:
    config = subject.config
    free = shutil.disk_usage(nearest_folder(Path(config.data.cache_dir))).free
    need = disk_usage.converted_bytes(config)
    is_index = formats.format_of(config.data.loader) is formats.IMAGE_FOLDER
    state, does = ("no index", "makes") if is_index else ("not converted", "does")
    found = f"{state} yet; data.cache_dir has {byte_size(free)} free"
    if need is not None:
        found += f", ImageNet takes about {byte_size(need)}"
    command = f"resnet_exp convert {does} it ahead of the first run, into {printable(config.data.cache_dir)}"
    if need is not None and free < need:
        return Finding("data", "bad", found, "set data.cache_dir=PATH on a larger disk")
    return Finding("data", "ok", found, command)
