"""Loaders whose batches are made ahead by threads: the reading loop of FFCV files, of MDS shards and of image files.

One thread reads what is stored, another one makes batches of it, for which a pool of threads decodes. The memory of a
batch is reused for a later one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.data.contract import IGNORED, Batch, Split
from resnet_exp.data.device_copy import DeviceCopy, use_device_of
from resnet_exp.data.kernels.batch import Samples, Scratch, load, make_scratch, to_read
from resnet_exp.data.kernels.decoder.ready import Sizes, sizes_of
from resnet_exp.data.kernels.randaugment import NOTHING, augment_with
from resnet_exp.data.kernels.resize import Numbers, Pixels
from resnet_exp.data.kernels.rule import AS_FFCV, AS_FFCV_SCHEDULED, AS_PILLOW, Rule, rule_of

# Numbers of images within their split.
Indices = npt.NDArray[np.int64]
Result = TypeVar("Result")


class Stored(NamedTuple):
    """The images of a batch as they are stored."""

    data: Pixels  # bytes that hold all of them
    samples: Samples  # where each one is in `data`
    labels: Numbers


class Source(Protocol):
    """The images of a split as they are stored."""

    def __len__(self) -> int:
        """Images in all."""
        ...

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; runs in a thread of its own.

        Args:
            batches: the images of each.
            lag: when a batch is requested, the one `lag` batches before it is no longer in use.

        Raises:
            RunFailed: an image cannot be had; names the file.
        """
        ...

    def redecoded(self, index: int) -> Pixels:
        """Pixels, HWC, of an image that the compiled decoder refuses.

        Raises:
            RunFailed: it cannot be decoded at all; names it.
        """
        ...


@contextlib.contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; at the end of the block they finish what they have begun, and the rest is canceled."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(jobs: Iterator[Future[Result]], ahead: int) -> Iterator[Result]:
    """Results of jobs in their order. `ahead` are begun at first, another one when the last result is done with."""
    pending = deque(itertools.islice(jobs, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(itertools.islice(jobs, 1))


class Slot:
    """Memory for a batch. Its maker calls `begin`, writes to what that returns, and calls `finish`."""

    def __init__(self, split: Split) -> None:
        """Allocate it for the largest batch of a split; pinned where a GPU copies from it."""
        pixels = split.batch_size * split.crop**2 * 3
        self._pixels = torch.empty(pixels, dtype=torch.uint8, pin_memory=split.on_gpu)
        self._labels = torch.empty(split.batch_size, dtype=torch.int64, pin_memory=split.on_gpu)

    def begin(self, count: int, side: int) -> Batch:
        """Memory for `count` images, uint8 NHWC, and their labels."""
        images = self._pixels[: count * side**2 * 3].view(count, side, side, 3)
        self._batch = images, self._labels[:count]
        return self._batch

    def finish(self) -> None:
        """The memory has been written."""

    def take(self) -> Batch:
        """The batch for its consumer: images as NCHW in the memory order NHWC, and labels."""
        images, labels = self._batch
        del self._batch  # on a GPU it is memory that the consumer gives back
        return images.permute(0, 3, 1, 2), labels


class GPUSlot(Slot):
    """The same, and the way to the current GPU, to which it is copied while other batches are made."""

    def __init__(self, split: Split, stream: torch.cuda.Stream) -> None:
        """Copies are made on `stream`."""
        super().__init__(split)
        self._stream = stream
        self._copy: DeviceCopy | None = None

    def begin(self, count: int, side: int) -> Batch:
        """Wait until the GPU has copied what was here before."""
        use_device_of(self._stream)
        if self._copy is not None:
            self._copy.wait_on_host()
        return super().begin(count, side)

    def finish(self) -> None:
        """Begin to copy."""
        self._copy = DeviceCopy(self._batch, self._stream)

    def take(self) -> Batch:
        """The batch on the GPU, which its consumer gives back."""
        assert self._copy is not None
        self._batch = self._copy.take()
        return super().take()


class _Memory:
    """What the batches of an epoch are made in; the next epoch uses it again."""

    def __init__(self, split: Split, as_pillow: bool) -> None:
        """Allocate slots: one batch in use, one in the making, and those that are ready."""
        self._split, self._as_pillow, self._sizes = split, as_pillow, sizes_of(0, 0)
        self._scratch: list[Scratch] = []
        count = split.prefetch_factor + 2
        self.slots: list[Slot]
        if split.on_gpu:
            stream: torch.cuda.Stream = torch.cuda.Stream()  # pyright: ignore[reportAssignmentType]
            self.slots = [GPUSlot(split, stream) for _ in range(count)]
        else:
            self.slots = [Slot(split) for _ in range(count)]

    def scratch(self, samples: Samples) -> list[Scratch]:
        """Memory of each thread that decodes, large enough for these images; it grows."""
        sizes = Sizes(*map(max, self._sizes, sizes_of(samples.height, samples.width)))
        if sizes != self._sizes:
            self._sizes = sizes
            self._scratch = [make_scratch(sizes, self._split.crop) for _ in range(decoders(self._split))]
        return self._scratch


class _Maker:
    """Makes the batches of an epoch."""

    def __init__(self, rule: Rule, source: Source, memory: _Memory, decoding: ThreadPoolExecutor) -> None:
        """`decoding`: threads that decode with the one that calls `make`."""
        self._rule, self._source, self._memory, self._decoding = rule, source, memory, decoding

    def make(self, stored: Future[Stored], side: int, padding: int, slot: Slot) -> Slot:
        """Fill a slot: images of `side` pixels, of which the last `padding` do not count."""
        data, samples, labels = stored.result()
        images_out, labels_out = (part.numpy() for part in slot.begin(len(labels), side))
        labels_out[:] = labels
        labels_out[len(labels) - padding :] = IGNORED
        counter, status = np.zeros(1, np.int64), np.zeros(len(labels), np.int64)

        def decode(scratch: Scratch) -> None:
            load(to_read(data), samples, self._rule, scratch, counter, images_out, status)

        own, *others = self._memory.scratch(samples)
        decoding = [self._decoding.submit(decode, scratch) for scratch in others]
        decode(own)
        for other in decoding:
            other.result()
        for number in np.flatnonzero(status):
            self._make_again(samples, int(number), images_out)
        slot.finish()
        return slot

    def _make_again(self, samples: Samples, number: int, images_out: Pixels) -> None:
        """Make an image of a batch of its pixels."""
        index, one = samples.indices[number : number + 1], np.zeros(1, np.int64)
        pixels = self._source.redecoded(int(index[0]))
        height, width = (np.array([side], np.int64) for side in pixels.shape[:2])
        sample = Samples(one != 0, height, width, one, one + pixels.size, one, index)
        counter, status = one.copy(), one.copy()
        # There may be more of them than the file has said.
        scratch = self._memory.scratch(sample)[0]
        load(to_read(pixels.reshape(-1)), sample, self._rule, scratch, counter, images_out[number : number + 1], status)


def decoders(split: Split) -> int:
    """Threads that decode; more than there are cores would only take memory."""
    return max(1, min(split.num_workers, usable_cpus()))


def shuffled(split: Split, images: int, epoch: int) -> Indices:
    """Images of a rank in an epoch of training: its share of a permutation that depends on (seed, epoch)."""
    order = np.random.default_rng((split.seed, epoch)).permutation(images)
    return order[: images // split.world_size * split.world_size][split.rank :: split.world_size]


class ThreadLoader:
    """A loader of what a source has, with RandAugment."""

    def __init__(
        self,
        split: Split,
        source: Source,
        shuffled: Callable[[int], Indices],
        like: int | None = None,
    ) -> None:
        """Images of `source`.

        Args:
            split: what to load.
            source: where it is.
            shuffled: number of an epoch of training to the images of this rank in it, in their order.
            like: whose images it makes (`resnet_exp.data.kernels.rule.Rule`); None: FFCV's.
        """
        usual = AS_FFCV if split.side_at is None else AS_FFCV_SCHEDULED
        self._like = usual if like is None else like
        self.batch_size, self.images = split.batch_size, len(source)
        self._split, self._source, self._shuffled = split, source, shuffled
        self._augment = NOTHING
        self._next = 0, 0
        self._memory: _Memory | None = None

    def __len__(self) -> int:
        """Batches an epoch."""
        whole = self.batch_size * self._split.world_size
        return self.images // whole if self._split.train else -(-self.images // whole)

    def __iter__(self) -> Iterator[Batch]:
        """Yield uint8 NCHW images and int64 labels. On a CPU they are memory that a later batch is written to.

        Raises:
            RunFailed: an image cannot be read or decoded.
        """
        epoch, first = self._next
        self._next = epoch + 1, 0
        split, batches = self._split, self._batches(epoch)
        with contextlib.ExitStack() as stack:
            memory = stack.enter_context(self._borrowed_memory())
            slots = memory.slots
            reads = stack.enter_context(contextlib.closing(self._source.read(batches[first:], len(slots))))
            decoding, making, reading = (stack.enter_context(threads(count)) for count in (decoders(split), 1, 1))
            maker = _Maker(rule_of(split, epoch, self._like, self._augment), self._source, memory, decoding)
            jobs = (
                making.submit(
                    maker.make,
                    reading.submit(next, reads),
                    split.side(epoch, number, len(batches)),
                    self._padding if number == len(batches) - 1 else 0,
                    slot,
                )
                for number, slot in zip(range(first, len(batches)), itertools.cycle(slots), strict=False)
            )
            for slot in in_order(jobs, len(slots)):
                yield slot.take()

    @contextlib.contextmanager
    def _borrowed_memory(self) -> Iterator[_Memory]:
        """Memory of an epoch; one that begins while another is not done has its own."""
        memory, self._memory = self._memory or _Memory(self._split, self._like == AS_PILLOW), None
        try:
            yield memory
        finally:
            self._memory = memory

    def _batches(self, epoch: int) -> list[Indices]:
        order, size = self._order(epoch), self.batch_size
        return [order[at : at + size] for at in range(0, len(self) * size, size)]

    def _order(self, epoch: int) -> Indices:
        split = self._split
        if split.train:
            return self._shuffled(epoch)
        return np.pad(np.arange(split.rank, self.images, split.world_size), (0, self._padding))

    @property
    def _padding(self) -> int:
        """Images that pad this rank's share of an evaluation: every rank must run the same number of batches."""
        return int(not self._split.train and 0 < self.images % self._split.world_size <= self._split.rank)

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration be that of `epoch` without its first `batch` batches."""
        self._next = epoch, batch

    def randaugment(self, augmentation_set: str, severity: float, depth: int) -> None:
        """Apply RandAugment after crop and flip from the next epoch's start."""
        self._augment = augment_with(augmentation_set, severity, depth)
