"""Give disk space back: ``resnet_exp clean [RUNS...]`` lists what nobody needs, and removes it if you agree."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from resnet_exp.cleaning.item import Item, remove
from resnet_exp.cleaning.search import DAY_SECONDS, find_items
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import byte_size, plural, printable, text_table

EPILOG = """\
RUNS are folders of runs (default: runs, if there is one). Listed are checkpoints of finished runs, conversions that
newer ones have superseded, what conversions that were given up have left, and caches. Caches and unfinished conversions
are listed when nobody has used them for a while (--days). The folders looked into are RUNS and the data.cache_dir
of their runs, and numba's and torch's folders of this user.

A cache of a run that runs or is queued is left alone, as is whatever a process of this machine has locked or open.
Give all folders of runs that share a cache. On a cluster, clean while none of your jobs run.

exit code: 0 removed, nothing to remove, or you said no, 1 something is left (or nobody could be asked: give --yes),
2 the request is wrong"""
DEFAULT_RUNS, DEFAULT_DAYS = Path("runs"), 30.0


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    folders = options.runs or [folder for folder in [DEFAULT_RUNS] if folder.is_dir()]
    caches = [options.cache] if options.cache is not None else [Path(paths.default_cache(str(DEFAULT_RUNS)))]
    try:
        found = find_items(folders, caches, options.days)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    for line in found.left_alone:
        console.say(f"left alone: {printable(line)}")
    if not found.items:
        console.say("nothing to remove")
        return EXIT_DONE
    console.say("\n".join(_listing(found.items)))
    if options.dry_run:
        return EXIT_DONE
    if not options.yes:
        if not sys.stdin.isatty():
            console.complain("nothing was removed, since there is no terminal to ask; --yes removes without asking")
            return EXIT_FAILED
        if not _agreed():
            console.say("nothing was removed")
            return EXIT_DONE
    return _remove_all(found.items)


def _agreed() -> bool:
    """Ask. The end of the input (Ctrl-D) is a no."""
    try:
        return input("remove all of this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        console.say("")
        return False


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("clean", __doc__, EPILOG)
    parser.add_argument("runs", nargs="*", type=user_path, metavar="RUNS", help="folders of runs")
    parser.add_argument("--cache", type=user_path, metavar="DIR", help="another data.cache_dir than the usual one")
    parser.add_argument(
        "--days",
        type=_days,
        default=DEFAULT_DAYS,
        metavar="N",
        help=f"of caches and unfinished conversions: unused for so many days (default: {DEFAULT_DAYS:g})",
    )
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.add_argument("--dry-run", action="store_true", help="list only")
    return parser


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of days; use 0 or more")
    return days


def _listing(items: list[Item]) -> list[str]:
    """A row for each item, and their sum."""
    now, sizes = time.time(), [item.bytes for item in items]
    rows: list[tuple[str, ...]] = [("what", "size", "last used", "path", "why")]
    for item, size in zip(items, sizes, strict=True):
        rows.append((item.kind, byte_size(size), _ago(now - item.last_used), printable(item.path), printable(item.why)))
    return [*text_table(rows), f"{plural(len(items), 'item')}, {byte_size(sum(sizes))}"]


def _ago(seconds: float) -> str:
    days = int(seconds // DAY_SECONDS)
    return f"{plural(days, 'day')} ago" if days else "today"


def _remove_all(items: list[Item]) -> int:
    freed, code = 0, EXIT_DONE
    for item in items:
        console.status(f"removing {printable(item.path)}")
        size = item.bytes
        if (why := remove(item)) is None:
            freed += size
        else:
            console.complain(f"{printable(item.path)} is not removed: {why}")
            code = EXIT_FAILED
    console.status("")
    console.say(f"removed {byte_size(freed)}")
    return code


if __name__ == "__main__":
    sys.exit(program.run(main))
