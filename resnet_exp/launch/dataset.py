"""What a run is trained on: its classes and images, in ``dataset.json``; and whether they are still the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from resnet_exp.config.schema import NAMED_DATASETS, RunConfig
from resnet_exp.core import files
from resnet_exp.core.errors import RequestError
from resnet_exp.core.records import Text, from_json, read_record
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.data import formats
from resnet_exp.data.images import fingerprint, image_tree
from resnet_exp.data.images.fingerprint import Scan, SplitState
from resnet_exp.runs.folder import RunFolder


@dataclass(frozen=True)
class DataSet:
    """The classes and images of a run.

    Attributes:
        name: a short name to show.
        fingerprint: the same for all copies of the images, wherever they lie; None if nothing tells.
        classes: names of the classes, in the order of their numbers; empty if they are not known.
        train: the images to train on.
        val: those of the evaluations.
    """

    name: Text
    fingerprint: str | None
    classes: list[str]
    train: SplitState | None = None
    val: SplitState | None = None


def data_set_of(config: RunConfig, named: bool = True) -> DataSet:
    """The data set of a configuration as it is now; without its name, which may be in an object store, if not `named`.

    Raises:
        RequestError: the images, or what they were converted to, cannot be read.
    """
    scans = [scan_of(config, split) for split in image_tree.SPLITS]
    if formats.format_of(config.data.loader) is formats.SYNTHETIC:
        return DataSet("synthetic", None, [str(number) for number in range(config.dataset.num_classes or 0)])
    train, val = scans
    name = _name(config) if named else config.dataset.name
    if train is None or val is None:
        return DataSet(name, None, [])
    both = hashlib.blake2b(f"{train.state.fingerprint} {val.state.fingerprint}".encode(), digest_size=8)
    return DataSet(name, both.hexdigest(), train.classes, train.state, val.state)


def fingerprint_of(config: RunConfig) -> str | None:
    """The fingerprint of the data set as it is now; None if it is known by its name alone, or nothing tells."""
    found = None if config.dataset.name in NAMED_DATASETS else _known_data_set(config)
    return None if found is None else found.fingerprint


def may_be_same(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints do not tell two data sets apart; None of a data set that has none."""
    return one is None or other is None or one == other


def scan_of(config: RunConfig, split: str) -> Scan | None:
    """The classes and images of a split, from the manifest of what they were converted to, else from their folder."""
    data, folder = config.data, Path(config.dataset.root) / split
    if (converted := formats.files_of(data.loader, data.cache_dir)) is not None:
        return converted.scan(config.dataset.root, split)
    found = formats.format_of(data.loader)
    if found is not None:
        return fingerprint.scan_split(folder) if found.reads_images else None
    # A format of the user's own may have images in class folders, or something else.
    if config.dataset.root and folder.is_dir():
        with contextlib.suppress(RequestError):
            scan = fingerprint.scan_split(folder)
            return scan if any(scan.state.class_images) else None
    return None


def _name(config: RunConfig) -> str:
    dataset, loader = config.dataset, config.data.loader
    if dataset.name in NAMED_DATASETS:
        return dataset.name
    known = formats.known(loader, config.data.cache_dir, dataset.root)
    named = str(loader.get("remote") or loader.get("train_file") or "")
    path = Path(known.folder) if known is not None else Path(dataset.root or named)
    return printable(path.name) or dataset.name


def read_data_set(run: RunFolder) -> DataSet | None:
    """What a run was trained on; None if its folder does not say.

    Raises:
        RequestError: the file is damaged.
    """
    return read_record(run.data_set, partial(from_json, DataSet))


def write_data_set(config: RunConfig) -> None:
    """Write ``dataset.json``.

    Raises:
        RequestError: the run would go on with other images than it began with.
    """
    check_same_data(config)
    files.write_json(config.folder.data_set, {"schema": files.SCHEMA, **asdict(data_set_of(config))})


def check_images_named(config: RunConfig) -> None:
    """Check that a run that other machines may carry out says where its images are; raises `RequestError` if not."""
    formats.check_root(config.data.loader, config.data.cache_dir, config.dataset.root)


def check_same_data(*runs: RunConfig) -> None:
    """Check that runs that are done, or go on, have the images that they were trained on.

    Raises:
        RequestError: says what differs.
    """
    changed = list(changed_data(runs))
    if changed:
        path, difference = changed[0]
        others = f" (and {plural(len(changed) - 1, 'other run')})" * (len(changed) > 1)
        raise RequestError(
            f"{path}{others} was trained on other images: {difference}; put them back, or remove {path} "
            "or set runs_dir=PATH to train on these"
        )


def changed_data(runs: Iterable[RunConfig]) -> Iterator[tuple[Path, str]]:
    """Folders of runs that are done or have a checkpoint, whose images differ by now, and how, in words.

    A run of which nothing tells is left out, and so are all of them where there are no images.
    """
    known: dict[str, DataSet | None] = {}
    for config in runs:
        run = config.folder
        if (before := _before(run)) is None or before.fingerprint is None:
            continue
        key = json.dumps([asdict(config.dataset), asdict(config.data)], default=str)
        if key not in known:
            known[key] = _known_data_set(config)
        if (now := known[key]) is not None and (difference := _difference(config, before, now)) is not None:
            yield run.path, difference


def _before(run: RunFolder) -> DataSet | None:
    """What a run that is done or has a checkpoint was trained on; None if it is neither, or its folder does not say."""
    # Who reads a folder that cannot be read says why.
    with contextlib.suppress(OSError, RequestError):
        if run.result.exists() or run.latest_checkpoint.exists():
            return read_data_set(run)
    return None


def _known_data_set(config: RunConfig) -> DataSet | None:
    """The data set as it is now; None where nothing tells: who reads the images says why."""
    with contextlib.suppress(RequestError):
        found = data_set_of(config, named=False)
        return None if found.fingerprint is None else found
    return None


def _difference(config: RunConfig, before: DataSet, now: DataSet) -> str | None:
    if now.fingerprint != before.fingerprint:
        return (
            _first(_changed_names(split, before, now) for split in image_tree.SPLITS) or "they are of another data set"
        )
    return _first(_changed_content(config, split, before, now) for split in image_tree.SPLITS)


def _first(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text is not None), None)


def _state(data_set: DataSet, split: str) -> SplitState:
    state = data_set.train if split == "train" else data_set.val
    assert state is not None
    return state


def _changed_names(split: str, before: DataSet, now: DataSet) -> str | None:
    if before.classes != now.classes:
        return fingerprint.class_difference(before.classes, now.classes)
    found = fingerprint.difference(now.classes, _state(before, split), _state(now, split))
    return None if found is None else f"in {split}, {found}"


def _changed_content(config: RunConfig, split: str, before: DataSet, now: DataSet) -> str | None:
    """An image that was changed in place, its size kept: the time tells."""
    folder, then = Path(config.dataset.root) / split, _state(before, split)
    if not config.dataset.root or not folder.is_dir() or _state(now, split).times == then.times:
        return None
    return fingerprint.changed_image(folder, then.sampled)
