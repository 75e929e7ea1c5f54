"""The reading loop: which images a rank gets, in whose memory, and what becomes of its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.contract import IGNORED, Split
from resnet_exp.data.kernels.batch import Samples
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, _Memory, in_order, shuffled
from support.loaders import split_of

pytestmark = pytest.mark.usefixtures("compiled")


class Numbered:
    """Images of one pixel, whose label is their number; `before` is called with the number of each batch."""

    def __init__(self, images: int, before: Callable[[int], object] = lambda number: None) -> None:
        self.images, self.before = images, before

    def __len__(self) -> int:
        return self.images

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        for number, indices in enumerate(batches):
            self.before(number)
            ones = np.ones(len(indices), np.int64)
            at = 3 * np.arange(len(indices))
            samples = Samples(ones == 0, ones, ones, at, 3 * ones, 0 * ones, indices.astype(np.uint64))
            yield Stored(np.repeat(indices, 3).astype(np.uint8), samples, indices)

    def redecoded(self, index: int) -> Pixels:
        raise RunFailed(f"image {index}")


def loader_of(source: Numbered, **changes: Any) -> ThreadLoader:
    split: Split = split_of("", crop=1, resize=1, **changes)  # pyright: ignore[reportArgumentType]
    return ThreadLoader(split, source, partial(shuffled, split, len(source)))


def labels_of(loader: ThreadLoader, epoch: int) -> list[list[int]]:
    loader.seek(epoch, 0)
    return [labels.tolist() for _, labels in loader]


@settings(max_examples=200)
@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 9), st.integers(0, 3))
def test_ranks_share_the_images(images: int, ranks: int, batch: int, epoch: int) -> None:
    def labels(train: bool) -> list[list[list[int]]]:
        changes = {"train": train, "world_size": ranks, "batch_size": batch}
        return [labels_of(loader_of(Numbered(images), rank=rank, **changes), epoch) for rank in range(ranks)]

    evaluated = labels(train=False)
    counted = [label for batches in evaluated for batch in batches for label in batch if label != IGNORED]
    assert sorted(counted) == list(range(images)), "every image counts once"
    assert len({tuple(map(len, batches)) for batches in evaluated}) == 1, "every rank has as many batches and images"
    trained = labels(train=True)
    seen = [label for batches in trained for batch in batches for label in batch]
    assert len(seen) == len(set(seen)) == images // ranks // batch * batch * ranks
    assert {len(batch) for batches in trained for batch in batches} <= {batch}
    assert len({len(batches) for batches in trained}) == 1


def test_two_ranks_see_the_global_batches_of_one() -> None:
    alone = labels_of(loader_of(Numbered(100), batch_size=16), 2)
    halves = [labels_of(loader_of(Numbered(100), batch_size=8, rank=rank, world_size=2), 2) for rank in (0, 1)]
    for whole, first, second in zip(alone, *halves, strict=True):
        assert set(whole) == {*first, *second}


def test_memory_is_used_again_when_its_batch_is_not_in_use() -> None:
    places, sizes = [], []
    loader = loader_of(Numbered(40), prefetch_factor=1)
    for images, labels in loader:
        places.append((images.data_ptr(), labels.data_ptr()))
        sizes.append(len(labels))
    assert sizes == [4] * 10
    assert len(set(places[:3])) == 3, "one batch ready, one in the making, one in use"
    assert places[3:] == places[:-3]
    kept = loader._memory
    assert {images.data_ptr() for images, _ in loader} == {pixels for pixels, _ in places}, "the next epoch's too"
    assert loader._memory is kept is not None


def test_memory_is_for_the_largest_image_and_not_for_the_longest_sides() -> None:
    """A wide and a high image, in a batch or one after the other."""

    def size(memory: Any) -> int:
        return memory.nbytes if isinstance(memory, np.ndarray) else sum(map(size, memory))

    def samples(heights: list[int], widths: list[int]) -> Samples:
        high, wide = np.array(heights), np.array(widths)
        return Samples(high > 0, high, wide, high, high, high, high.astype(np.uint64))

    split: Split = split_of("", crop=32)  # pyright: ignore[reportArgumentType]
    together, apart = _Memory(split, False), _Memory(split, False)
    apart.scratch(samples([1], [30_000]))
    several = together.scratch(samples([1, 30_000], [30_000, 1])), apart.scratch(samples([30_000], [1]))
    assert all(size(scratch) < 2**25 for each in several for scratch in each)


def test_a_job_begins_when_an_earlier_result_is_done_with() -> None:
    begun: list[int] = []

    def jobs(threads: ThreadPoolExecutor) -> Iterator[Future[int]]:
        for number in range(7):
            begun.append(number)
            yield threads.submit(lambda number=number: number)

    with ThreadPoolExecutor(3) as threads:
        seen = [(result, len(begun)) for result in in_order(jobs(threads), 3)]
    assert seen == [(0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 7), (6, 7)]


def test_an_error_of_the_reading_thread_is_the_consumers() -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise RunFailed("the file is gone")

    before = threading.enumerate()
    batches = iter(loader_of(Numbered(40, fail), num_workers=2))
    assert [len(next(batches)[1]) for _ in range(2)] == [4, 4], "those before it are there"
    with pytest.raises(RunFailed, match="the file is gone"):
        next(batches)
    assert set(threading.enumerate()) <= set(before)


def test_a_source_that_ends_too_early_is_no_end_of_the_epoch() -> None:
    class Short(Numbered):
        def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
            yield from super().read(batches[:2], lag)

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(loader_of(Short(40)))


def test_an_epoch_that_is_left_ends_its_threads_and_what_they_read() -> None:
    read: list[int] = []
    loader, before = loader_of(Numbered(4000, read.append), num_workers=2, prefetch_factor=1), threading.enumerate()
    batches = iter(loader)
    next(batches)
    assert set(threading.enumerate()) - set(before)
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert set(threading.enumerate()) <= set(before)
    assert read == list(range(len(read))) and len(read) <= 3


def test_two_epochs_at_a_time_do_not_meet() -> None:
    loader = loader_of(Numbered(40), num_workers=2)
    alone = [labels_of(loader, epoch) for epoch in (0, 1)]
    loader.seek(0, 0)
    together = [
        (first.tolist(), second.tolist()) for (_, first), (_, second) in zip(iter(loader), iter(loader), strict=True)
    ]
    assert [list(epoch) for epoch in zip(*together, strict=True)] == alone


def test_pixels_are_those_of_the_sample() -> None:
    for images, labels in loader_of(Numbered(40), num_workers=2):
        assert torch.equal(images, labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 1, 1))
