"""Which Parquet files of a folder are which split: the names that the Hugging Face Hub has.

``train-00000-of-00294.parquet``, ``train.parquet`` or ``train/0000.parquet``; likewise ``validation``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from resnet_exp.core.errors import RequestError

SUFFIX = ".parquet"
# What names of files or folders begin with; the first that is there counts.
KEYWORDS = {"train": ("train", "training"), "val": ("validation", "valid", "val", "dev", "test")}
LAYOUT = "dataset.dir must hold train-*.parquet and validation-*.parquet, or train/*.parquet and validation/*.parquet"
# Also in ``train-00000-of-00294-5a0b3c.parquet``, as older versions wrote it.
NUMBERED = re.compile(r"(?P<before>.*)-(?P<number>\d+)-of-(?P<count>\d+)(?P<after>.*)\.parquet")


def folders() -> list[str]:
    """Names of folders that may hold the files of a split."""
    return [word for words in KEYWORDS.values() for word in words]


def files_of(names: Iterable[str], split: str) -> list[str]:
    """The files of a split among paths below a folder, in their order; none if there are none."""
    kept = sorted(name for name in names if name.endswith(SUFFIX))
    for word in KEYWORDS[split]:
        named = re.compile(rf"{word}(?![a-z])", re.IGNORECASE)
        if found := [name for name in kept if named.match(name)]:
            return found
    return []


def check_complete(root: str, names: Iterable[str]) -> None:
    """Check that of files that say how many they are, each is there once, and none is of another set.

    Raises:
        RequestError: names the first one that is.
    """
    numbers: dict[tuple[str, str], dict[int, str]] = {}
    others: list[str] = []
    for name in names:
        if (found := NUMBERED.fullmatch(name)) is None:
            others.append(name)
            continue
        there = numbers.setdefault((found["before"], found["count"]), {})
        if (other := there.setdefault(int(found["number"]), name)) != name:
            raise _two_sets(root, other, name)
    if len({before for before, _ in numbers}) < len(numbers):
        raise _two_sets(root, *(f"-of-{count}" for _, count in sorted(numbers)))
    if numbers and others:
        raise _two_sets(root, next(iter(next(iter(numbers.values())).values())), others[0])
    for (before, count), there in numbers.items():
        missing = sorted(set(range(int(count))).difference(there))
        if missing:
            raise RequestError(
                f"dataset.dir={root}: {len(missing)} of {int(count)} files are missing, such as "
                f"{before}-{missing[0]:0{len(count)}}-of-{count}.parquet; fetch them"
            )


def _two_sets(root: str, *files: str) -> RequestError:
    return RequestError(
        f"dataset.dir={root} holds files {' and '.join(files)} of one split; remove those that are of another set"
    )
