"""Run a `uv pip sync`: say first how much it downloads, and in a log now and then how far it is.

    python scripts/sync.py [--every SECONDS] uv pip sync [OPTION...] LOCK

A terminal has uv's own progress instead. Needs the standard library alone: it runs in the environment that it fills.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

MB = 10**6
NAMED = 4  # of the packages to download, the largest


def main() -> int:
    """The exit code of uv."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two lines in a log")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    _say(f"{args.command[-1]}: {_to_download(args.command)}")
    began, every = time.time(), None if sys.stderr.isatty() else args.every
    with subprocess.Popen(args.command) as sync:
        while True:
            try:
                return sync.wait(every)
            except subprocess.TimeoutExpired:
                _say(f"{_unpacked_since(began, _cache_of(args.command[0])) / MB:,.0f} MB new in uv's cache")
            except KeyboardInterrupt:  # uv has had it, too
                return 130


def _say(text: str) -> None:
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def _to_download(command: list[str]) -> str:
    """What a sync will download, in words: packages, megabytes, the largest."""
    # uv says only in its log which packages its cache lacks; a dry run downloads none.
    dry = _run(*command, "--dry-run", "--verbose")
    if dry.returncode:
        return "uv could not say how much there is to download"
    names = re.findall(r"(?m)^DEBUG Identified uncached distribution: ([\w.-]+)==", dry.stderr)
    counted = re.search(r"(?m)^Would download (\d+) package", dry.stderr)
    if not counted:
        return "nothing to download, uv's cache has all that is not installed yet"
    sizes = _wheel_sizes(command)
    known = sorted(((sizes[name], name) for name in names if name in sizes), reverse=True)
    count, unknown = int(counted[1]), int(counted[1]) - len(known)
    total = f"{sum(size for size, _ in known) / MB:,.0f} MB to download and unpack, packages: {count}"
    largest = ", ".join(f"{name} {size / MB:,.0f}" for size, name in known[:NAMED])
    lacking = f"; the registry does not say the size of {unknown}" if unknown else ""
    return total + (f" ({largest}{', ...' if count > NAMED else ''})" if known else "") + lacking


def _wheel_sizes(command: list[str]) -> dict[str, int]:
    """Bytes of what is installed of each package, as the registry says: of its wheel, else of its sources."""
    python = command[command.index("--python") + 1]
    lock = _run(command[0], "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-build-isolation",
               "--format", "pylock.toml", "--python", python, command[-1]).stdout  # fmt: skip
    sizes: dict[str, int] = {}
    for package in lock.split("[[packages]]")[1:]:  # Python 3.10 has no tomllib
        name = re.search(r'(?m)^name = "(.+)"', package)
        size = re.search(r"(?ms)^wheels = .*?\bsize = (\d+)", package) or re.search(r"\bsize = (\d+)", package)
        if name and size:
            sizes[name[1]] = int(size[1])
    return sizes


def _cache_of(uv: str) -> Path:
    return Path(_run(uv, "cache", "dir").stdout.strip())


def _unpacked_since(began: float, cache: Path) -> int:
    """Bytes in the folders that were made since in uv's cache, which unpacks while it downloads."""
    folders = [*cache.glob(".tmp*"), *cache.glob("archive-*/*")]
    return sum(_size_of(folder) for folder in folders if _is_newer(folder, began))


def _is_newer(folder: Path, began: float) -> bool:
    try:
        return folder.stat().st_mtime >= began
    except OSError:  # uv has moved it
        return False


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue
    return total


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
