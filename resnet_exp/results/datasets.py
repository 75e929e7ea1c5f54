"""The data set of each run: its classes and images, whatever ``dataset`` was called; and a name for each.

Runs of different images must not share a frontier, and copies of the same images should.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath

from resnet_exp.data.images import shipped
from resnet_exp.results.record import RunRecord
from resnet_exp.runs.result import Result

# Data sets that are known by name, if they have about as many images to train on as they should.
KNOWN_IMAGES = {"imagenet": 1_281_167, **{name: one.train_images for name, one in shipped.ALL.items()}}
# Of these, a few images may have been skipped because they cannot be read.
SKIPPED = 0.001
SYNTHETIC = "synthetic"
FOLDER = "dataset.dir="
# Hexadecimal digits of a fingerprint that tell data sets of one name apart.
SHOWN = 8


def key_of(result: Result) -> str:
    """What is the same for runs of the same classes and images, as far as a result alone tells.

    It is a name, a fingerprint, or, of results of an earlier version, `place_of`.
    """
    if result.data == SYNTHETIC:
        return SYNTHETIC
    if is_known(result):
        return result.dataset
    return result.data_set_fingerprint or place_of(result) or result.dataset


def is_known(result: Result) -> bool:
    """Whether a run has the data set that it names, such as ImageNet; earlier versions record nothing but the name."""
    images = KNOWN_IMAGES.get(result.dataset)
    if images is None:
        return False
    return result.data_set_fingerprint is None or abs(result.train_images - images) <= SKIPPED * images


def name_of(result: Result) -> str:
    """A short name to show."""
    if result.data == SYNTHETIC:
        return SYNTHETIC
    if is_known(result):
        return result.dataset
    return result.data_set or PurePath(folder_of(result.command) or "").name or result.dataset


def folder_of(command: str | None) -> str | None:
    """The folder of the images in a command line."""
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    found = [word.removeprefix(FOLDER).strip("'\"") for word in words if word.startswith(FOLDER)]
    return found[-1] if found else None


def place_of(result: Result) -> str:
    """Folder and numbers of images; empty if no folder is known."""
    folder = folder_of(result.command)
    return f"{folder} {result.train_images} {result.val_images}" if folder else ""


def with_names(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs, each with the name of its data set as ``dataset``: one name for a key, and for no other key."""
    runs = _with_fingerprints(list(runs))
    names = _names(runs)
    return [replace(run, dataset=names[run.data_set_key]) if run.data_set_key else run for run in runs]


def _with_fingerprints(runs: list[RunRecord]) -> list[RunRecord]:
    """Give runs of an earlier version the fingerprint that later runs found at the same place, if it is only one."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if run.data_set_place and run.data_set_key != run.data_set_place:
            found[run.data_set_place].add(run.data_set_key)
    known = {place: next(iter(keys)) for place, keys in found.items() if len(keys) == 1}
    return [replace(run, data_set_key=known.get(run.data_set_key, run.data_set_key)) for run in runs]


def _names(runs: Iterable[RunRecord]) -> Mapping[str, str]:
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        if run.data_set_key:
            wanted[run.data_set_key][run.dataset] += 1
    # The most frequent name; of equally frequent ones the first of the alphabet.
    names = {key: min(found, key=lambda name: (-found[name], name)) for key, found in wanted.items()}
    taken = Counter([*names.values(), *(name for name in KNOWN_IMAGES if name not in names)])
    return {
        key: name
        if key == name or taken[name] == 1
        else f"{name} ({key.partition(' ')[0] if '/' in key else key[:SHOWN]})"
        for key, name in names.items()
    }
