"""Where the FFCV file of a split is, and how it gets there. No torch: the front asks whether a conversion is due."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp import rundir, tree
from resnet_exp.errors import RequestError, RunFailed
from resnet_exp.processes import die_with_parent

# What the content of a file depends on, in its cache folder's name.
CONTENT = ("write_mode", "max_resolution", "compress_probability", "jpeg_quality")

LOADER = "resnet_exp.data.ffcv.make_loader"
# What the writer's last words begin with.
REASON = "reason: "


def settings_of(data: dict[str, Any]) -> dict[str, Any] | None:
    """Settings of the FFCV files of a ``data`` group, with their ``cache_dir``; None for another format."""
    loader = data["loader"]
    return {**loader, "cache_dir": data["cache_dir"]} if loader["_target_"] == LOADER else None


def split_file(root: str, split: str, settings: dict[str, Any]) -> Path:
    """Path of a split's FFCV file: the one that the user named, else the cached one for this folder and settings.

    The cache key holds the folder, its classes and their modification times: files that are added, removed or renamed
    make new ones. Changing the content of an image in place is not seen.
    """
    given = settings[f"{split}_file"]
    if given is not None:
        return Path(given)
    base = Path(root).resolve()
    folders = [base / name / label for name in tree.SPLITS for label in tree.class_names(base / name)]
    classes = [(folder.name, folder.stat().st_mtime_ns) for folder in folders]
    key = json.dumps([str(base), classes, [settings[name] for name in CONTENT]])
    folder = f"{base.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return Path(settings["cache_dir"]) / "ffcv" / folder / f"{split}.ffcv"


def prepare(root: str, settings: dict[str, Any], workers: int, say: Callable[[str], None]) -> list[Path]:
    """Write the FFCV files of both splits that are not there yet; a second process waits for the first.

    Raises:
        RequestError: a file named by the user does not exist, or the cache cannot be written or hold it.
        RunFailed: the conversion failed; nothing is left under the file's name.
    """
    paths = {split: split_file(root, split, settings) for split in tree.SPLITS}
    missing = {split: path for split, path in paths.items() if not path.is_file()}
    for split, path in missing.items():
        if settings[f"{split}_file"] is not None:
            raise RequestError(f"data.loader.{split}_file={path} does not exist; convert the dataset first")
    if missing:
        _convert(missing, Path(root), settings, workers, say)
    return list(paths.values())


def partial_of(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.partial")


def _convert(
    missing: dict[str, Path], root: Path, settings: dict[str, Any], workers: int, say: Callable[[str], None]
) -> None:
    cache = next(iter(missing.values())).parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("w")
    except OSError as error:
        raise RequestError(
            f"data.cache_dir={settings['cache_dir']} cannot be written ({error.strerror}); set data.cache_dir=PATH"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The small split first: a bad image in it should not cost the time of the large one.
        due = {root / split: path for split, path in sorted(missing.items(), reverse=True) if not path.is_file()}
        if not due:
            return
        _check_space(cache, list(due), settings)
        say(f"writing {' and '.join(path.name for path in due.values())} into {cache} (once, then reused)")
        _write(due, {"workers": workers, **{name: settings[name] for name in CONTENT}}, settings["cache_dir"])


def _write(due: dict[Path, Path], request: dict[str, Any], cache_dir: str) -> None:
    """Write the files of `due`, from source folder to target, in one process."""
    files = [[str(source), str(target)] for source, target in due.items()]
    try:
        _run_writer({"files": files, **request})
    except RunFailed as error:
        if not any(rundir.is_full(path.parent) for path in due.values()):
            raise
        raise RunFailed(f"data.cache_dir={cache_dir} is full; free some space or set data.cache_dir=PATH") from error
    finally:
        for path in due.values():
            with contextlib.suppress(FileNotFoundError):
                partial_of(path).unlink()


def _check_space(cache: Path, sources: list[Path], settings: dict[str, Any]) -> None:
    """Refuse at once what cannot fit: even the smallest result holds a tenth of the source's bytes."""
    needed = sum(os.path.getsize(file) for source in sources for file in tree.images(source)) // 10
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise RequestError(
            f"data.cache_dir={settings['cache_dir']} has {free / 2**20:,.0f} MiB free, the FFCV files of "
            f"{sources[0].parent} need more than {needed / 2**20:,.0f}; free some or set data.cache_dir=PATH"
        )


def _run_writer(request: dict[str, Any]) -> None:
    """Run the writer in a process group of its own: FFCV's writer hangs when one of its workers dies."""
    command = [sys.executable, "-m", "resnet_exp.data.ffcv_writer", json.dumps(request)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
    )
    try:
        _, errors = process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise RunFailed(
            f"conversion of {Path(request['files'][0][0]).parent} failed: {_reason(errors or '', process.returncode)}"
        )


def _reason(errors: str, code: int) -> str:
    """What the writer said; Python's clean-up after it may have warned since."""
    lines = [line for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    return (said or lines or [f"exit code {code}"])[-1]
