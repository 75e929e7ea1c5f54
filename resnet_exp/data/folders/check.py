"""What is wrong with a folder of images, and what to do about it: ``resnet_exp data check``."""

from __future__ import annotations

import shlex
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from resnet_exp.core.terminal.finding import Finding, State
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.data.folders.survey import Survey, Surveyed
from resnet_exp.data.images import image_layouts
from resnet_exp.data.images.image_file import Facts
from resnet_exp.data.images.image_tree import SPLITS

# Images of a class that a run needs, and those below which it learns little.
FEWEST_TRAIN, FEW_TRAIN = 2, 20
# The largest class over the smallest.
IMBALANCED = 5
# Sides in pixels: shorter ones that show little, and longer ones that cost time without use.
TINY, HUGE = 32, 4000
SHOWN = 3
COLORS = {"1": "bilevel", "L": "gray", "LA": "gray", "I;16": "gray", "CMYK": "CMYK", "YCCK": "CMYK"}


@dataclass(frozen=True)
class ImageFinding(Finding):
    """A finding, with the paths of the images or folders that it is about."""

    paths: list[str] = field(default_factory=list[str])


Findings = Iterator[ImageFinding]


def check(survey: Survey) -> Findings:
    """All that is worth a line about a folder, the worst first."""
    looks: tuple[Callable[[Survey], Findings], ...] = (
        *(_splits, _classes, _counts, _unreadable, _duplicates),
        *(_balance, _sides, _colors, _rotated, _other_files),
    )
    found = [finding for look in looks for finding in look(survey)]
    yield from sorted(found, key=lambda finding: finding.state != "bad")
    yield _total(survey, found)


def _finding(check: str, state: State, found: str, fix: str, paths: Iterable[str]) -> ImageFinding:
    """A finding whose text ends with some of the paths that it is about."""
    paths = list(paths)
    more = f" and {len(paths) - SHOWN:,} more" * (len(paths) > SHOWN)
    listed = f": {', '.join(map(printable, paths[:SHOWN]))}{more}" if paths else ""
    return ImageFinding(check, state, f"{found}{listed}", fix, paths)


def _total(survey: Survey, found: list[ImageFinding]) -> ImageFinding:
    bad = sum(finding.state == "bad" for finding in found)
    parts = [
        f"{plural(sum(counts.values()), 'image')}{f' in {split}' * bool(split)}, {plural(len(counts), 'class')}"
        for split in survey.classes
        if (counts := survey.counts(split))
    ]
    sides = [min(facts.width, facts.height) for _, facts in _readable(survey)]
    if sides:
        parts.append(f"shorter side {min(sides):,} to {max(sides):,} px, median {statistics.median(sides):,.0f}")
    split = f"resnet_exp data split {shlex.quote(str(survey.root))} makes train and val"
    return ImageFinding("images", "ok", "; ".join(parts), split if "" in survey.classes and not bad else "")


def _readable(survey: Survey) -> Iterator[tuple[Surveyed, Facts]]:
    return ((image, image.facts) for image in survey.images if image.facts is not None)


def _splits(survey: Survey) -> Findings:
    """One of train and val is missing."""
    if "" not in survey.classes and set(survey.classes) != set(SPLITS):
        yield ImageFinding("splits", "bad", f"only {next(iter(survey.classes))}", image_layouts.way_on(survey.root))


def _classes(survey: Survey) -> Findings:
    for split, names in survey.classes.items():
        if len(names) == 1:
            found = f"one class{f' in {split}' * bool(split)}, {printable(names[0])}"
            yield ImageFinding("classes", "bad", found, "add the others: two or more")
    empty = [
        f"{split}/{name}".lstrip("/")
        for split in survey.classes
        for name, count in survey.counts(split).items()
        if count == 0
    ]
    if empty:
        found, fix = f"{plural(len(empty), 'class folder')} without images", "add images, or remove the class"
        yield _finding("empty classes", "bad", found, fix, empty)
    if len(survey.classes) < len(SPLITS):
        return
    train, val = (set(survey.classes[split]) for split in SPLITS)
    for here, there, only in (("train", "val", train - val), ("val", "train", val - train)):
        if only:
            fix = f"give {there} these folders, with images, or remove them from {here}"
            yield _finding("classes", "bad", f"{len(only)} in {here} and not in {there}", fix, sorted(only))


def _train(survey: Survey) -> dict[str, int]:
    """Images of each class to train on, of classes that have some."""
    split = "train" if "train" in survey.classes else next(iter(survey.classes))
    return {name: count for name, count in survey.counts(split).items() if count}


def _counts(survey: Survey) -> Findings:
    counts = _train(survey)
    if few := [name for name, count in counts.items() if count < FEWEST_TRAIN]:
        found, fix = (
            f"{plural(len(few), 'class')} of fewer than {FEWEST_TRAIN} images",
            "add images, or remove the class",
        )
        yield _finding("few images", "bad", found, fix, few)
    if few := [name for name, count in counts.items() if FEWEST_TRAIN <= count < FEW_TRAIN]:
        fix = "add images: with so few of a class, little is learned of it; init_from= helps (docs/finetune.md)"
        yield _finding("few images", "note", f"{plural(len(few), 'class')} of fewer than {FEW_TRAIN} images", fix, few)


def _balance(survey: Survey) -> Findings:
    counts = _train(survey)
    if len(counts) < 2 or max(counts.values()) < IMBALANCED * min(counts.values()):
        return
    (least, fewest), (most, largest) = (choose(counts.items(), key=lambda one: one[1]) for choose in (min, max))
    found = f"{printable(most)} has {plural(largest, 'image')}, {printable(least)} has {fewest:,}"
    fix = "add images of the small classes: top-1 follows the large ones; evaluate shows each class"
    yield ImageFinding("balance", "note", found, fix)


def _unreadable(survey: Survey) -> Findings:
    faulty = [image for image in survey.images if image.facts is None]
    if faulty:
        fix = "repair or remove them; resnet_exp convert has on_error=skip"
        first = faulty[0].fault.partition(" cannot be read ")[2].partition(";")[0] or "?"
        found = f"{plural(len(faulty), 'image')} cannot be decoded {first}"
        yield _finding("unreadable", "bad", found, fix, [image.path for image in faulty])


def _duplicates(survey: Survey) -> Findings:
    """The same file twice: in train and val, under two classes, or in one class."""
    same: dict[bytes, list[Surveyed]] = defaultdict(list)
    for image, facts in _readable(survey):
        same[facts.digest].append(image)
    groups = [group for group in same.values() if len(group) > 1]
    between = [group for group in groups if len({image.split for image in group}) > 1]
    labels = [group for group in groups if len({image.label for image in group}) > 1]
    alike = [group for group in groups if group not in between and group not in labels]
    rows: tuple[tuple[State, str, str, list[list[Surveyed]]], ...] = (
        ("bad", "in train and in val: top-1 would be too high", "remove one of each pair", between),
        ("bad", "under two classes: one of them is wrong", "keep one of each", labels),
        ("note", "twice in the same class", "keep one of each", alike),
    )
    for state, found, fix, these in rows:
        if these:
            paths = [image.path for group in these for image in group]
            yield _finding("duplicates", state, f"{plural(len(these), 'image')} {found}", fix, paths)


def _sides(survey: Survey) -> Findings:
    tiny = [image.path for image, facts in _readable(survey) if min(facts.width, facts.height) < TINY]
    huge = [image.path for image, facts in _readable(survey) if max(facts.width, facts.height) > HUGE]
    if tiny:
        fix = "look at them: thumbnails and icons show little, and are enlarged"
        yield _finding("tiny images", "note", f"{len(tiny):,} with a side below {TINY} px", fix, tiny)
    if huge:
        fix = "use data=ffcv, which stores 500 px (data.loader.max_resolution), or shrink them: decoding costs the time"
        yield _finding("huge images", "note", f"{len(huge):,} with a side above {HUGE:,} px", fix, huge)


def _colors(survey: Survey) -> Findings:
    by_color: dict[str, list[str]] = defaultdict(list)
    for image, facts in _readable(survey):
        if facts.mode in COLORS:
            by_color[COLORS[facts.mode]].append(image.path)
    total = sum(1 for _ in _readable(survey))
    for color, paths in sorted(by_color.items()):
        if len(paths) < total or color == "CMYK":
            fix = f"none is needed: they become RGB; make sure that {color} is not what tells classes apart"
            yield _finding("colors", "note", f"{len(paths):,} {color} of {total:,}", fix, paths)


def _rotated(survey: Survey) -> Findings:
    paths = [image.path for image, facts in _readable(survey) if facts.rotated]
    if paths:
        fix = "rotations of EXIF are not applied: mogrify -auto-orient FILES turns the pixels"
        yield _finding("rotated", "note", f"{plural(len(paths), 'image')} as the camera was held", fix, paths)


def _other_files(survey: Survey) -> Findings:
    for line in survey.left_out.notes():
        found, _, suffixes = line.removeprefix("note: dataset.dir: ").partition("; ")
        fix = f"{suffixes}; convert photographs among the others: mogrify -format jpg FILES"
        yield ImageFinding("other files", "note", found, fix if suffixes else "none is needed: they are not read")
