"""What ``benchmarks/gpu.sh`` measured on a GPU: lines of JSON in ``benchmarks/results/CARD/`` of a checkout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError

RESULTS = paths.PACKAGE.parent / "benchmarks" / "results"
# Names of the parts whose lines are read, and of the contender that loads without training.
MACHINE, THROUGHPUT, FED, LOADER = "machine", "throughput", "fed", "loader alone"
Line = Mapping[str, object]
Speeds = dict[int, float]


@dataclass(frozen=True)
class Trained:
    """What was trained: the model, the algorithms that cost time, the precision, and the arithmetic (`speed`)."""

    model: str
    algorithms: str
    precision: str
    speed: str


@dataclass
class Card:
    """The speeds of one GPU of a kind, with the data on the device.

    Attributes:
        batch: images of a step.
        speeds: images/s by side of the images in pixels.
        loader_rate: images/s of a thread of the loader, None if it was not measured.
    """

    gpu: str
    date: str
    torch: str
    batch: int = 0
    speeds: dict[Trained, Speeds] = field(default_factory=dict[Trained, Speeds])
    loader_rate: float | None = None


def read_cards(folder: Path | None = None) -> list[Card]:
    """Every file of results, by name; `RESULTS` unless a folder is given, and empty if there is none.

    Raises:
        RequestError: a file is not what ``benchmarks/gpu.sh`` writes.
    """
    return [read_card(path) for path in sorted((folder or RESULTS).glob("*/*.jsonl"))]


def read_card(path: Path) -> Card:
    """One file of results.

    Raises:
        RequestError: it is not what ``benchmarks/gpu.sh`` writes.
    """
    card: Card | None = None
    for number, line in _lines(path):
        try:
            if line.get("part") == MACHINE:
                card = Card(str(line["gpu"]), str(line["date"]), str(line["torch"]))
            elif card is not None:
                _add(card, line)
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(
                f"{path}, line {number}: {error!r}; benchmarks/gpu.sh writes such files: run it again"
            ) from None
    if card is None:
        raise RequestError(f'{path}: no line says "part": "{MACHINE}"; benchmarks/gpu.sh writes such files')
    return card


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    for number, text in enumerate(path.read_text().splitlines(), 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise RequestError(f"{path}, line {number}: not an object of JSON; benchmarks/gpu.sh writes such files")
        yield number, line


def _add(card: Card, line: Line) -> None:
    if line.get("part") == THROUGHPUT and "speed" in line:
        names = (str(line[key]) for key in ("model", "algorithms", "precision", "speed"))
        card.batch = int(str(line["batch"]))
        speeds = card.speeds.setdefault(Trained(*names), {})
        speeds[int(str(line["px"]))] = _positive(line, "images_per_second")
    elif line.get("part") == FED and line.get("contender") == LOADER:
        rate = _positive(line, "images_per_second") / _positive(line, "threads")
        card.loader_rate = max(rate, card.loader_rate or 0.0)


def _positive(line: Line, key: str) -> float:
    value = float(str(line[key]))
    if not 0 < value < float("inf"):
        raise ValueError(f"{key}={value:g} is not a positive number")
    return value
