"""Damaged JPEGs, loaded and converted in memory between guards: ``python -m support.damaged_jpegs SEED COUNT``.

Prints how many there were that are decoded by the project's own decoder at all, which is what the guards are for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from resnet_exp.data.kernels.batch import Samples, load, make_scratch, to_read
from resnet_exp.data.kernels.crops import logarithms
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.jpeg import measure
from resnet_exp.data.kernels.lossless import source
from resnet_exp.data.kernels.lossless.points import BASIS, PRIME, VALUES, locate, most_words
from resnet_exp.data.kernels.lossless.restarts import mark, memory_for
from resnet_exp.data.kernels.randaugment import NOTHING
from resnet_exp.data.kernels.rng import epoch_key
from resnet_exp.data.kernels.rule import AS_FFCV, AS_FFCV_SCHEDULED, AS_PILLOW, Rule
from support.guarded import Guarded, guarded
from support.jpegs import SAMPLINGS, Bytes, encoded, pixels_of

SIDES = ((1, 9), (16, 16), (31, 40), (50, 70), (97, 121))
# Larger images and files are left out, as are tests of the memory for them.
MOST_PIXELS, ROOM, SIDE = 20_000, 2**15, 12
WORDS = 2**64 - 1


def segments_of(jpeg: bytes) -> list[tuple[int, int]]:
    """Where each of the header begins and ends."""
    found, at = list[tuple[int, int]](), 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and (not found or jpeg[found[-1][0] + 1] != 0xDA):
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found, at = [*found, (at, end)], end
    return found


def segment(marker: int, content: bytes) -> bytes:
    """One of the header."""
    return bytes((0xFF, marker)) + (2 + len(content)).to_bytes(2, "big") + content


def _random_segment(random: np.random.Generator) -> bytes:
    kind = random.integers(3)
    if kind == 0:
        return segment(0xDD, int(random.choice([1, 2, 3, 17, 65535])).to_bytes(2, "big"))
    number = int(random.choice([0, 1, 2, 3, 4, 7, 15, 16, 17, 19, 20, 32, 240]))
    if kind == 1:
        return segment(0xDB, bytes([number]) + random.bytes(int(random.choice([0, 1, 63, 64, 65, 128, 192, 257, 260]))))
    counts = random.integers(0, random.choice([2, 4, 30]), 16)
    return segment(0xC4, bytes([number, *counts.tolist()]) + random.bytes(int(counts.sum())))


def damage(jpeg: bytes, random: np.random.Generator) -> bytes:
    """Damage a JPEG anywhere, in its header, or in its codes."""
    for _ in range(random.choice([1, 1, 2, 3])):
        segments = segments_of(jpeg)
        start, end = segments[random.integers(len(segments))] if segments else (0, len(jpeg))
        anywhere = int(random.integers(len(jpeg) + 1))
        field = start + int(random.integers(2, 24))
        code = min(len(jpeg), segments[-1][1] if segments else 0)
        code += int(random.integers(len(jpeg) - code + 1))
        some = bytes([random.choice([0, 1, 2, 4, 0x11, 0x12, 0x22, 0x41, 0xD9, 255, int(random.integers(256))])])
        few = int(random.integers(1, 40))
        at, cut, put = [
            (anywhere, 1, some), (anywhere, len(jpeg), b""), (anywhere, few, b""), (anywhere, 0, random.bytes(few)),
            (anywhere, 0, b"\xff" * few), (field, 1, some), (field, 1, some), (start, end - start, b""),
            (start, 0, jpeg[start:end]), (start, 0, _random_segment(random)), (start, 0, _random_segment(random)),
            (code, 1, random.bytes(1)), (code, 1, random.bytes(1)),
        ][random.integers(13)]  # fmt: skip
        jpeg = jpeg[:at] + put + jpeg[at + cut :]
    return jpeg


def forged_points(jpeg: bytes, random: np.random.Generator) -> Bytes:
    """Any points that an index of an image of these sides could have, with their checksum."""
    segments = segments_of(jpeg)
    frame = next(start for start, _ in segments if jpeg[start + 1] in (0xC0, 0xC1))
    height, width = (int.from_bytes(jpeg[frame + at : frame + at + 2], "big") for at in (5, 7))
    high, wide = (8 * (jpeg[frame + 11] & 15), 8 * (jpeg[frame + 11] >> 4)) if jpeg[frame + 9] == 3 else (8, 8)
    columns = int(random.integers(1, -(-width // wide) + 1))
    bits = np.sort(random.integers(0, 8 * (len(jpeg) - segments[-1][1]), -(-height // high) * columns + 1))
    words, total = list[int](), int(BASIS)
    for bit in bits.tolist():
        words.append(bit << VALUES | int(random.integers(1 << VALUES)))
        total = (total ^ words[-1]) * int(PRIME) & WORDS
    return as_bytes(np.array([columns << 32 | total >> 32, *words], np.uint64))


def as_bytes(words: np.ndarray[Any, np.dtype[np.uint64]]) -> Bytes:
    """Words as an index has them."""
    return words.astype(">u8").view(np.uint8)


def rule_for(like: int, train: bool, side: int, number: int = 0) -> Rule:
    """Any crops to train; to evaluate, all of an image of `side` x `side` pixels."""
    ratio = logarithms((0.2, 5.0))
    return Rule(train, epoch_key(17, number), (0.001, 1.0), ratio, True, side, 1.0, like, NOTHING)


def sample_of(height: int, width: int, size: int, points: int) -> Samples:
    """A JPEG at the beginning of the memory, and its points behind it."""
    number = lambda value: np.array([value], np.int64)  # noqa: E731
    index = np.zeros(1, np.uint64)
    return Samples(np.ones(1, bool), number(height), number(width), number(0), number(size), number(points), index)


class Loader:
    """Memory for images between guards."""

    def __init__(self, behind: bool) -> None:
        self._behind, self._kept = behind, list[Guarded]()
        self._scratch = dict[tuple[int, int], Any]()
        self._file, self._out, self._words = Guarded(4 * ROOM), Guarded(3 * SIDE * SIDE), Guarded(ROOM)
        self._memory = guarded(memory_for(ROOM), behind, self._kept)

    def convert(self, jpeg: bytes) -> None:
        """Put markers into a JPEG, and find its points."""
        data = to_read(self._file.hold(np.frombuffer(jpeg, np.uint8), self._behind))
        mark(data, self._memory)
        locate(data, self._memory, self._words.hold(np.zeros(most_words(len(jpeg)), np.uint64), self._behind))

    def load(self, jpeg: bytes, points: Bytes, random: np.random.Generator) -> bool:
        """Make an image of a JPEG; False if it is none, or too large."""
        content = np.frombuffer(jpeg + points.tobytes(), np.uint8)
        data, place, size = to_read(self._file.hold(content, self._behind)), np.zeros(1, np.int64), len(jpeg)
        height, width = np.zeros(1, np.int64), np.zeros(1, np.int64)
        measure(data, place, place + size, height, width)
        shape = int(height[0]), int(width[0])
        if not 0 < shape[0] * shape[1] <= MOST_PIXELS:
            return False
        if shape not in self._scratch:
            self._scratch[shape] = guarded(make_scratch(sizes_of(*shape), SIDE), self._behind, self._kept)
        side, like = int(random.integers(1, SIDE + 1)), int(random.choice([AS_FFCV, AS_FFCV_SCHEDULED, AS_PILLOW]))
        out = self._out.hold(np.zeros((1, side, side, 3), np.uint8), self._behind)
        rule = rule_for(like, bool(random.integers(4)), side, int(random.integers(2**30)))
        sample = sample_of(*shape, size, points.size)
        load(data, sample, rule, self._scratch[shape], place.copy(), out, place.copy())
        return True


def sources(random: np.random.Generator) -> list[bytes]:
    """JPEGs of all kinds."""
    kinds = [
        (height, width, sampling, interval, more)
        for height, width in SIDES for sampling in SAMPLINGS for interval in (0, 1, 5) for more in (0, 2, 4 + 1)
    ]  # fmt: skip
    make: Callable[..., bytes] = lambda height, width, sampling, interval, more: encoded(  # noqa: E731
        pixels_of(height, width, int(random.integers(60)), int(random.integers(2**30))),
        sampling, int(random.integers(1, 101)), interval, more,
    )  # fmt: skip
    return [make(*kind) for kind in kinds]


def main(seed: int, count: int) -> None:
    """Load `count` JPEGs, with guards before all memory, and then behind it."""
    for behind in (False, True):
        random = np.random.default_rng(seed)
        loader, jpegs, loaded = Loader(behind), sources(random), 0
        points = [as_bytes(source.points_of(jpeg)) for jpeg in jpegs]
        for number in range(count):
            which, own = int(random.integers(len(jpegs))), int(random.integers(3))
            index = [points[which][:0], points[which], forged_points(jpegs[which], random)][own]
            jpeg = damage(jpegs[which], random) if random.integers(4) else jpegs[which]
            if len(jpeg) <= ROOM:
                loaded += loader.load(jpeg, index, random)
                if number % 4 == 0:
                    loader.convert(jpeg)
        print(loaded)


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
