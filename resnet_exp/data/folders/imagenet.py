"""ImageNet's three archives to ``train/<class>`` and ``val/<class>``: ``resnet_exp data imagenet``.

torchvision's ``ImageNet`` extracts the tars of all classes first, which takes the room twice, and begins anew after an
interruption. Here each class is read from within the archive, and gets its name when it is whole.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from resnet_exp.core.errors import EXIT_DONE, RequestError, RunFailed
from resnet_exp.core.files import is_full, writing
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import byte_size, plural, printable, setting, span
from resnet_exp.data.conversion.base import Progress
from resnet_exp.data.folders.archives import ClassArchive, open_archives
from resnet_exp.data.folders.devkit import PUBLISHED, Devkit
from resnet_exp.data.images.image_tree import SPLITS

# By the name of a format of files, that of ``data=NAME``.
FORMATS = {"ffcv": "ffcv", "mds": "streaming"}
# Hidden: a class of it is not a class of the image folder.
UNFINISHED = ".unfinished"
# Classes that are written at a time: disks are faster then, and it is Python that waits.
THREADS = 4
# Bytes that are extracted before the time of the rest is told from their speed.
TIMED_BYTES = 2**26


def extract(tars: Path, target: Path, convert: str | None) -> int:
    """Write the image folders of ImageNet's archives, check them, and convert them if asked to; returns the exit code.

    Args:
        tars: the folder of the three archives.
        target: gets ``train`` and ``val``. A class that is there stays as it is.
        convert: one of `FORMATS`.

    Raises:
        RequestError: an archive is missing, or `target` cannot be written, has too little room, or holds other images.
        RunFailed: an archive is damaged, or the disk is full. What is whole stays.
    """
    console.status(f"reading the archives in {printable(tars)}")
    kit, classes = open_archives(tars)
    with writing(f"-o {printable(target)}", "use -o DIR"):
        lock = open_lock(target / UNFINISHED / ".lock")
    with held_lock(lock, lambda: console.say(f"another process writes into {printable(target)}; waiting for it")):
        console.say(f"{printable(target)}: {_shown(kit.facts)}, as the devkit has them")
        if kit.facts != PUBLISHED:
            console.say(f"note: this is not ILSVRC2012 as published ({_shown(PUBLISHED)})")
        missing = [one for one in classes if not _is_there(target, one)]
        if missing:
            _check_room(target, missing)
            _Extraction(target, missing, sum(one.count for one in classes if one not in missing)).run()
        shutil.rmtree(target / UNFINISHED, ignore_errors=True)
    console.say(f"{printable(target)}: whole, {_shown(kit.facts)}")
    return _convert(target, kit, convert) if convert is not None else _say_next(target, kit)


def _shown(facts: tuple[int, int, int]) -> str:
    train, val, classes = facts
    return f"{train:,} images to train, {val:,} to evaluate, {classes:,} classes"


def _is_there(target: Path, one: ClassArchive) -> bool:
    """Whether an earlier try has written a class; raises `RequestError` if something else has."""
    folder = target / one.split / one.label
    if not folder.is_dir():
        return False
    if (found := sum(1 for _ in os.scandir(folder))) != one.count:
        raise RequestError(f"{printable(folder)} holds {plural(found, 'file')}, not {one.count:,}; remove it")
    return True


def _check_room(target: Path, missing: Sequence[ClassArchive]) -> None:
    need, free = sum(one.size for one in missing), shutil.disk_usage(target).free
    if free < need:
        raise RequestError(
            f"-o {printable(target)} has {byte_size(free)} free, the images need {byte_size(need)}; free some or "
            "use -o DIR"
        )
    console.say(f"{printable(target)}: {byte_size(need)} to write, {byte_size(free)} free")


class _Extraction:
    """The classes that are missing, on their way into the folder."""

    def __init__(self, target: Path, missing: Sequence[ClassArchive], there: int) -> None:
        self._target, self._missing = target, missing
        self._progress = Progress(printable(target.name), there + sum(one.count for one in missing), there)
        self._began, self._bytes = time.monotonic(), 0
        self._told, self._stopped = False, False
        self._counting = threading.Lock()

    def run(self) -> None:
        """Write all classes; the first that fails ends the others."""
        for split in SPLITS:
            (self._target / split).mkdir(exist_ok=True)
        pool = ThreadPoolExecutor(THREADS)
        try:
            for _ in pool.map(self._write, self._missing):
                pass
        except OSError as error:
            if is_full(self._target):
                raise RunFailed(f"the disk of {printable(self._target)} is full; free some, then rerun") from error
            raise RunFailed(f"{printable(self._target)} cannot be written ({error.strerror})") from error
        finally:
            self._stopped = True
            pool.shutdown(cancel_futures=True)
        self._progress.end()

    def _write(self, one: ClassArchive) -> None:
        unfinished, count = self._target / UNFINISHED / f"{one.split}-{one.label}", 0
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name, content in one.images():
            if self._stopped:
                return
            (unfinished / name).write_bytes(content)
            count += 1
            self._count(len(content))
        if count != one.count:
            raise RunFailed(
                f"the archive of {one.split} is damaged or not ILSVRC2012's: {one.label} has {plural(count, 'image')}, "
                f"not {one.count:,}; download it again"
            )
        unfinished.rename(self._target / one.split / one.label)

    def _count(self, size: int) -> None:
        with self._counting:
            self._bytes += size
            self._progress.add(1)
            if not self._told and self._bytes >= TIMED_BYTES:
                self._told = True
                whole = sum(one.size for one in self._missing)
                seconds = (time.monotonic() - self._began) * whole / self._bytes
                console.say(f"about {span(seconds)} in all, at the speed of the first {byte_size(self._bytes)}")


def _convert(target: Path, kit: Devkit, name: str) -> int:
    """Convert the image folder, which stays: a conversion reads files, in many processes, and resumes by names."""
    words = ["dataset=imagenet", _word("dataset.dir", target.absolute()), f"data={FORMATS[name]}"]
    words += [] if kit.facts == PUBLISHED else [f"dataset.num_classes={len(kit.train)}"]
    code = subprocess.run([sys.executable, "-m", "resnet_exp.convert", *words]).returncode
    if code == EXIT_DONE:
        console.say("the settings above name the files without the image folder, which may be removed")
    return code


def _word(key: str, value: Path) -> str:
    # As Hydra reads it, not a shell.
    return shlex.split(setting(key, value))[0]


def _say_next(target: Path, kit: Devkit) -> int:
    classes = "" if kit.facts == PUBLISHED else f" dataset.num_classes={len(kit.train)}"
    console.say(f"next: resnet_exp recipe=mild dataset=imagenet {setting('dataset.dir', target.absolute())}{classes}")
    return EXIT_DONE
