"""The parts of ``gpu.sh``: their order, what they may take, and what they are expected to take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

# How many checks run at the same time: on a GPU of at least 80 GB with 16 cores, and in a rehearsal on two cores.
BESIDE, REHEARSED_BESIDE = 4, 2
# Seconds that the start of several checks at once costs each of them.
CROWDED = 1.25


@dataclass(frozen=True)
class Part:
    """A part, which runs in a process of its own.

    Attributes:
        number: of the table in docs/performance.md.
        place: module and function.
        estimate: seconds on one H100 with 16 cores. Nothing of it has been measured: it is reckoned from the starts of
            processes (10 to 15 s each), the estimates of steps in docs/performance.md, and compilation (about 40 s).
        limit: seconds after which it is ended.
        alone: it measures time: nothing runs beside it.
    """

    number: int
    name: str
    place: str
    estimate: int
    limit: int
    alone: bool = True


PARTS = (
    Part(0, "machine", "__main__:machine", 8, 30),
    Part(0, "photographs", "loading:photographs", 25, 60),
    # The longest first: the others fill the gaps.
    Part(5, "compile", "speed:compile_networks", 100, 160, alone=False),
    Part(4, "ranks", "ranks:ranks", 70, 120, alone=False),
    Part(2, "resume", "resume:resume", 60, 110, alone=False),
    Part(1, "recipes", "correctness:recipes", 60, 110, alone=False),
    Part(4, "limits", "limits:limits", 45, 100, alone=False),
    Part(1, "network", "correctness:network", 15, 50, alone=False),
    Part(2, "bits", "bits:bits", 15, 50, alone=False),
    Part(3, "late", "loading:late", 20, 50, alone=False),
    Part(3, "layout", "loading:layout", 20, 50, alone=False),
    Part(5, "throughput", "speed:throughput", 120, 170),
    Part(7, "fed", "loading:alone", 35, 60),
    Part(7, "trained", "loading:trained", 40, 60),
    Part(4, "synchronizations", "speed:synchronizations", 25, 50),
    Part(6, "parts", "speed:parts", 20, 40),
    Part(8, "memory", "memory:memory", 12, 30),
)


def groups(parts: Iterable[Part], rehearse: bool) -> Iterator[list[Part]]:
    """Parts that run one after the other, or several at a time; in a rehearsal no time counts."""

    def alone(part: Part) -> bool:
        return part.number == 0 or (part.alone and not rehearse)

    for is_alone, some in groupby(parts, alone):
        members = list(some)
        yield from ([part] for part in members) if is_alone else [members]


def estimate() -> float:
    """Seconds of the whole on one H100."""
    total = 0.0
    for group in groups(PARTS, rehearse=False):
        seconds = [part.estimate for part in group]
        total += seconds[0] if len(group) == 1 else CROWDED * max(*seconds, sum(seconds) / BESIDE)
    return total
