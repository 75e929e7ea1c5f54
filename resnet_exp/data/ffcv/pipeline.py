"""Our steps of FFCV's pipelines: seeded images, labels, and the way to the device.

FFCV's own decoders draw crops from numba's generator, which cannot be seeded from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader as FFCVReader
from ffcv.loader.epoch_iterator import EpochIterator
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State
from torch import Tensor

from resnet_exp.core import devices
from resnet_exp.core.errors import RunFailed
from resnet_exp.data.contract import Split
from resnet_exp.data.kernels.batch import Rule, Samples, Scratch, load, make_scratch, rule_of, to_read
from resnet_exp.data.kernels.randaugment import NOTHING

Array = npt.NDArray[Any]
Code = Callable[..., Any]


class Epoch(EpochIterator):
    """The thread that makes the batches of an epoch.

    FFCV's own dies of an error without a word, and its reader waits for ever.
    """

    def __init__(self, reader: FFCVReader, order: Array, epoch: int, batch: int) -> None:
        """`order`: the samples; `batch`: number within `epoch` of the first batch."""
        self.failure: BaseException | None = None
        self.epoch, self.batch = epoch, batch
        # Of an epoch, not of the loader: one that was left may still be at work when the next begins.
        self.scratch: list[Scratch] = []
        super().__init__(reader, order)  # pyright: ignore[reportArgumentType]

    def run(self) -> None:
        """Make batches until there are no more, or until one fails."""
        try:
            super().run()
        except BaseException as error:
            self.failure = error
            self.output_queue.put(None)

    def __next__(self) -> tuple[Tensor, ...]:
        """The next batch; raises what the thread failed with."""
        try:
            return super().__next__()
        except StopIteration:
            if self.failure is not None:
                raise self.failure from None
            raise

    def close(self) -> None:
        """End the thread, also in the middle of an epoch; it would keep its memory for ever."""
        super().close()
        while not self.output_queue.empty():
            self.output_queue.get_nowait()


class Reader(FFCVReader):
    """FFCV's reader of a file, with our `Epoch`."""

    def __iter__(self) -> Epoch:
        """Begin the next epoch."""
        return self.start(0)

    def start(self, batch: int) -> Epoch:
        """Begin the next epoch; its order begins with batch number `batch`."""
        order, epoch = np.asarray(self.next_traversal_order()), self.next_epoch
        self.next_epoch += 1
        return Epoch(self, order[: len(self) * self.batch_size], epoch, batch)


def locate(state: tuple[Array, ...], address: npt.NDArray[np.uint64]) -> tuple[Array, Array, Array, Array]:
    """Where samples are in the memory that FFCV holds.

    Args:
        state: FFCV's: the mapped file or, without ``os_cache``, its pages in memory; addresses and sizes of what was
            written; and the row of each page.
        address: of the samples, in the file.

    Returns:
        The memory (bytes, a row a page), and of each sample the row, the offset in it and the size in bytes.
    """
    memory, addresses, sizes = state[:3]
    pages = memory if memory.ndim == 2 else np.asarray(memory).reshape(1, -1)
    page, offset = np.divmod(address.astype(np.int64), pages.shape[1])
    row = state[3][page] if len(state) > 3 else page
    return to_read(pages), row.astype(np.int64), offset, sizes[np.searchsorted(addresses, address)].astype(np.int64)


def _find(indices: Array, table: Array, state: tuple[Array, ...]) -> tuple[Array, Samples]:
    """The memory, and what is known of the samples of a batch."""
    fields = table[indices]
    pages, row, offset, size = locate(state, fields["data_ptr"])
    samples = Samples(
        mode=np.ascontiguousarray(fields["mode"]),
        height=fields["height"].astype(np.int64),
        width=fields["width"].astype(np.int64),
        page=row,
        offset=offset,
        size=size,
        indices=np.ascontiguousarray(indices, np.uint64),
    )
    return pages, samples


class Images(SimpleRGBImageDecoder):
    """Decodes and augments images: uint8 NHWC that depend on nothing but (seed, epoch, sample)."""

    def __init__(self, split: Split, path: str) -> None:
        """`path` names the file in errors."""
        super().__init__()
        self.augment = NOTHING
        self._split, self._path = split, path
        self._workers = max(1, min(split.num_workers, devices.usable_cpus()))
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """Memory for images of the split's full size; smaller ones take its beginning."""
        shape, dtype = (self._split.crop, self._split.crop, 3), np.dtype(np.uint8)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def generate_code(self) -> Code:
        """The step: indices, memory for the result, the file's table of samples, FFCV's memory."""

        def decode(indices: Array, out: Array, table: Array, state: tuple[Array, ...]) -> Array:
            epoch = threading.current_thread()
            assert isinstance(epoch, Epoch)
            side = self._split.side(epoch.epoch, epoch.batch, len(epoch.loader))
            epoch.batch += 1
            images = out.reshape(-1)[: len(indices) * side * side * 3].reshape(len(indices), side, side, 3)
            pages, samples = _find(indices, table, state)
            self._load(self._scratch(epoch), pages, samples, rule_of(self._split, epoch.epoch, self.augment), images)
            return images

        return decode

    def _load(self, scratch: list[Scratch], pages: Array, samples: Samples, rule: Rule, images: Array) -> None:
        counter, status = np.zeros(1, np.int64), np.zeros(len(images), np.int64)
        jobs = [(pages, samples, rule, memory, counter, images, status) for memory in scratch]
        others = [self._threads.submit(load, *job) for job in jobs[1:]]
        load(*jobs[0])
        for other in others:
            other.result()
        if status.any():
            sample = samples.indices[np.flatnonzero(status)[0]]
            raise RunFailed(f"FFCV file {self._path}: image {sample} is damaged; remove the file to write it again")

    def _scratch(self, epoch: Epoch) -> list[Scratch]:
        if not epoch.scratch:
            height, width = (int(self.metadata[side].max(initial=1)) for side in ("height", "width"))
            epoch.scratch = [make_scratch(height, width, self._split.crop) for _ in range(self._workers)]
        return epoch.scratch


class Labels(IntDecoder):
    """Reads class numbers: int64, shape N x 1."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """Memory for one number a sample."""
        dtype = np.dtype(np.int64)
        return replace(previous_state, jit_mode=True, shape=(1,), dtype=dtype), AllocationQuery((1,), dtype)

    def generate_code(self) -> Code:
        """The step, as of `Images`."""

        def decode(indices: Array, out: Array, table: Array, state: tuple[Array, ...]) -> Array:
            out[:, 0] = table[indices]
            return out

        return decode


class ToDevice(Operation):
    """Hands a batch over as a tensor, on the GPU if there is one; images as NCHW in the memory order NHWC.

    FFCV's own step takes no batch of another size than the first.
    """

    def __init__(self, on_gpu: bool) -> None:
        """`on_gpu`: copy to the current GPU, while later batches are made."""
        super().__init__()
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else None

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery | None]:
        """Memory on the GPU, if one is used."""
        dtype = torch.from_numpy(np.empty(0, previous_state.dtype)).dtype
        device = self._device or previous_state.device
        query = AllocationQuery(previous_state.shape, dtype, device) if self._device else None
        return replace(previous_state, jit_mode=False, dtype=dtype, device=device), query

    def generate_code(self) -> Code:
        """The step: what the step before made, memory on the GPU."""

        def deliver(batch: Array, memory: Tensor | None) -> Tensor:
            tensor = torch.from_numpy(batch)
            if memory is not None:
                tensor = memory.reshape(-1)[: tensor.numel()].view(tensor.shape).copy_(tensor, non_blocking=True)
            return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor

        return deliver
