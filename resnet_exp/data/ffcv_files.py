"""Where the FFCV file of a split is, and how it gets there. No torch: the front asks whether a conversion is due."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp import tree
from resnet_exp.data import ffcv_layout, file_manifest
from resnet_exp.errors import EXIT_BAD_REQUEST, RequestError, RunFailed
from resnet_exp.processes import die_with_parent

# What the content of a file depends on, in its cache folder's name.
CONTENT = ("write_mode", "max_resolution", "compress_probability", "jpeg_quality")

LOADER = "resnet_exp.data.ffcv.make_loader"
# A side is stored in 16 bits; at this one an image fills the largest page that FFCV has.
MAX_RESOLUTION = 26_000
# The largest image that is taken needs some seconds; a disk on a network that comes back, a minute or two.
PATIENCE_SECONDS = 300
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
    state = _hash([(folder.name, folder.stat().st_mtime_ns) for folder in folders])
    return Path(settings["cache_dir"]) / "ffcv" / f"{_wanted(base, settings)}-{state}" / f"{split}.ffcv"


def work_folder(root: str, settings: dict[str, Any]) -> Path:
    """Where the files of a folder are written before they are whole, whatever state the folder is in by then."""
    return Path(settings["cache_dir"]) / "ffcv" / f".{_wanted(Path(root).resolve(), settings)}"


def _wanted(base: Path, settings: dict[str, Any]) -> str:
    return f"{base.name}-{_hash([str(base), [settings[name] for name in CONTENT]])}"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def prepare(
    root: str,
    settings: dict[str, Any],
    workers: int,
    say: Callable[[str], None],
    most_skipped: int = 0,
    classes: int | None = None,
) -> list[Path]:
    """Check the FFCV files of both splits, and write those that are not there; a second process waits for the first.

    Args:
        root: the image folder; not needed where the settings name both files.
        settings: of `settings_of`.
        workers: processes that convert.
        say: takes a line for the user.
        most_skipped: so many images that cannot be converted are left out; 0 leaves out none.
        classes: how many the run expects.

    Raises:
        RequestError: a file is not what it should be, one that the user named does not exist, or the cache cannot be
            written or hold it.
        RunFailed: the conversion failed; nothing is left under the file's name.
    """
    paths = {split: split_file(root, split, settings) for split in tree.SPLITS}
    missing = {split: path for split, path in paths.items() if not path.is_file()}
    for split, path in missing.items():
        if settings[f"{split}_file"] is not None:
            raise RequestError(f"data.loader.{split}_file={path} does not exist; convert the dataset first")
    if missing:
        _convert(missing, Path(root), settings, {"workers": workers, "most_skipped": most_skipped}, say)
    _check_files(paths, root, settings, classes, say)
    return list(paths.values())


def _check_files(
    paths: dict[str, Path], root: str, settings: dict[str, Any], classes: int | None, say: Callable[[str], None]
) -> None:
    """Check quickly that the files are whole, those of this folder and these settings, and of the same classes."""
    manifests = {}
    for split, path in paths.items():
        manifest = file_manifest.read(path)
        if manifest is None:
            file_manifest.check_header(path, classes)
            say(f"note: {tree.shown(path)} has no manifest, so only its header and class numbers were checked")
            continue
        manifests[split] = manifest
        given = settings[f"{split}_file"] is not None
        file_manifest.check_quickly(path, manifest, "name another file" if given else file_manifest.FIX)
        if not given:
            content = {name: settings[name] for name in CONTENT}
            file_manifest.check_origin(path, manifest, content, tree.class_names(Path(root) / split))
        if classes is not None and len(manifest.classes) != classes:
            raise RequestError(
                f"FFCV file {tree.shown(path)} has {len(manifest.classes)} classes, dataset.num_classes={classes}; "
                f"name another file or set dataset.num_classes={len(manifest.classes)}"
            )
    if len(manifests) == len(paths):
        file_manifest.check_classes_agree(*((paths[split], manifests[split]) for split in tree.SPLITS))


def given_manifest(data: dict[str, Any]) -> file_manifest.Manifest | None:
    """Manifest of the training file that a ``data`` group names; None where it names none, or one without.

    Raises:
        RequestError: the manifest is damaged.
    """
    given = data["loader"].get("train_file") if data["loader"].get("_target_") == LOADER else None
    return file_manifest.read(Path(given)) if given else None


def facts(root: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What a run trains on, for its ``environment.json``: path, images, origin and seal of each file; the classes."""
    found: dict[str, Any] = {}
    for split in tree.SPLITS:
        path = split_file(root, split, settings)
        found[split] = {"file": str(path), **file_manifest.summary(path)}
        found["classes"] = found[split].pop("classes", None) or found.get("classes")
    return found


def check_settings(settings: dict[str, Any]) -> None:
    """Check what the files are written with; raises `RequestError` on the first setting that is of no use."""
    mode, side = settings["write_mode"], settings["max_resolution"]
    if mode not in ffcv_layout.MODES:
        raise RequestError(f"data.loader.write_mode={mode} is unknown; use one of {', '.join(ffcv_layout.MODES)}")
    if side is not None:
        _check_number("max_resolution", side, (int,), 1, MAX_RESOLUTION)
    _check_number("compress_probability", settings["compress_probability"], (int, float), 0, 1)
    _check_number("jpeg_quality", settings["jpeg_quality"], (int,), 1, 100)


def _check_number(key: str, value: object, types: tuple[type, ...], least: int, most: int) -> None:
    if not isinstance(value, types) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportOperatorIssue]
        raise RequestError(f"data.loader.{key}={value} is out of range; use {least} to {most}")


def _convert(
    missing: dict[str, Path],
    root: Path,
    settings: dict[str, Any],
    how: dict[str, int],
    say: Callable[[str], None],
) -> None:
    cache, unfinished = next(iter(missing.values())).parent, work_folder(str(root), settings)
    try:
        for folder in (cache, unfinished):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (unfinished / ".lock").open("w")
    except OSError as error:
        raise RequestError(
            f"data.cache_dir={settings['cache_dir']} cannot be written ({error.strerror}); set data.cache_dir=PATH"
        ) from error
    with lock:
        _wait_for(lock.fileno(), cache, say)
        # The small split first: a bad image in it should not cost the time of the large one.
        still = [split for split in sorted(missing, reverse=True) if not missing[split].is_file()]
        due = [[str(root / split), str(missing[split]), str(unfinished / f"{split}.ffcv.partial")] for split in still]
        if not due:
            return
        say(f"writing {' and '.join(Path(path).name for _, path, _ in due)} into {cache} (once, then reused)")
        content = {name: settings[name] for name in CONTENT}
        how = {**how, "patience_seconds": PATIENCE_SECONDS}
        _run_writer({"files": due, "settings": content, "cache_dir": settings["cache_dir"], **how}, lock.fileno())


def _wait_for(lock: int, cache: Path, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another process converts into {cache}; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _run_writer(request: dict[str, Any], lock: int) -> None:
    """Run the writer in a process group of its own, which holds the lock until its last process has ended."""
    command = [sys.executable, "-m", "resnet_exp.data.ffcv_writer", json.dumps(request)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=(lock,),
        # Threads of a numerical library would be lost in workers that are forked.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
    )
    try:
        _, errors = process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reason = _reason(errors or "", process.returncode)
    if process.returncode == EXIT_BAD_REQUEST:
        raise RequestError(reason)
    if process.returncode:
        raise RunFailed(f"conversion of {tree.shown(Path(request['files'][0][0]).parent)} failed: {reason}")


def _reason(errors: str, code: int) -> str:
    """What the writer said; Python's clean-up after it may have warned since."""
    lines = [line for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    return (said or lines or [f"exit code {code}"])[-1]
