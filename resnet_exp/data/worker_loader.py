"""Loaders whose samples are made in worker processes: torch's ``DataLoader`` behind the loader contract."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sized
from functools import partial
from multiprocessing.util import get_temp_dir
from typing import Any

import torch
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from typing_extensions import Self

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.machine.processes import die_with_parent, how_it_ended
from resnet_exp.data import worker_queue
from resnet_exp.data.contract import Batch, Split

# Epoch, index and side in pixels of a sample.
Key = tuple[int, int, int]
# A socket's path has at most 107 bytes, of which multiprocessing adds "/pymp-12345678/listener-12345678".
LONGEST_FOLDER = 107 - 32
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
SHOWN_SECONDS = 1.0


class EpochSampler(DistributedSampler[Any]):
    """A ``DistributedSampler`` that tells each sample its epoch and size, and that can start in the middle of an epoch.

    torch 2.14.1's yields indices alone, by which a sample's random numbers would be the same in each epoch.
    """

    skip: int = 0

    def __init__(self, dataset: Sized, split: Split) -> None:
        """`split` says which share of `dataset` is this rank's."""
        super().__init__(
            dataset,  # pyright: ignore[reportArgumentType]
            num_replicas=split.world_size,
            rank=split.rank,
            shuffle=split.train,
            seed=split.seed,
            drop_last=split.train,
        )
        self.split = split

    def __iter__(self) -> Iterator[Key]:
        """Yield epoch, index and side in pixels of the samples of this rank."""
        skip, self.skip = self.skip, 0
        size = self.split.batch_size
        for position, index in enumerate(super().__iter__()):
            if position >= skip:
                yield self.epoch, int(index), self.split.side(self.epoch, position // size, len(self) // size)


class WorkerLoader(DataLoader[Batch]):
    """A ``DataLoader`` that keeps to the loader contract.

    torch 2.14.1's cannot start in the middle of an epoch, or end workers that ignore SIGTERM.
    """

    images: int

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration skip the epoch's first `batch` batches; Composer sets the sampler's epoch."""
        assert isinstance(self.sampler, EpochSampler) and self.batch_size is not None
        self.sampler.set_epoch(epoch)
        self.sampler.skip = batch * self.batch_size

    def close(self) -> None:
        """End the workers. At exit multiprocessing would send them SIGTERM, which they ignore, and wait forever."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()
            for worker in self._iterator._workers:
                worker.kill()  # one that hangs does not end when it is asked to

    @classmethod
    def of(cls, dataset: Sized, sampler: EpochSampler, collate: Callable[..., Batch]) -> Self:
        """A loader of what `sampler` says; `collate` makes a batch of what `dataset` gives."""
        split = sampler.split
        loader = cls(
            dataset,  # pyright: ignore[reportArgumentType]
            batch_size=split.batch_size,
            sampler=sampler,
            drop_last=split.train,
            collate_fn=collate,
            num_workers=split.num_workers,
            persistent_workers=split.num_workers > 0,
            prefetch_factor=split.prefetch_factor if split.num_workers else None,
            worker_init_fn=partial(_begin_worker, os.getpid()),
            # The default up to Python 3.13. Other ways import torch in each worker, and take no data set of lambdas.
            multiprocessing_context="fork" if split.num_workers else None,
            pin_memory=split.on_gpu,
            # DataLoader would draw its seed from the global generator, and so change MixUp after a resume.
            generator=torch.Generator().manual_seed(split.seed),
        )
        loader.images = len(dataset)
        atexit.register(loader.close)
        return loader


def shorten_socket_paths() -> None:
    """Have the workers of this process send batches through sockets whose paths the system takes.

    Raises:
        RequestError: TMPDIR is too long, and no other folder for temporary files can be written.
    """
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return
    for folder in SHORT_FOLDERS:
        tempfile.tempdir = folder
        # It makes a folder below, remembers it, and removes it at exit.
        with contextlib.suppress(OSError):
            get_temp_dir()
            break
    else:
        raise RequestError(
            f"TMPDIR={usual} is too long for the sockets of loader workers, and {', '.join(SHORT_FOLDERS)} cannot be "
            f"written; set TMPDIR to a folder of at most {LONGEST_FOLDER} bytes"
        )
    tempfile.tempdir = usual


def show_workers() -> None:
    """Have each worker write where it stands to standard error."""
    for worker in multiprocessing.active_children():
        if worker.pid is not None:
            os.kill(worker.pid, signal.SIGUSR1)
    time.sleep(SHOWN_SECONDS)


def death_of_worker(error: Exception, *loaders: object) -> RunFailed | None:
    """What `error` says if a loader's worker died, by the exit codes of all workers; None if none did."""
    iterators = (getattr(loader, "_iterator", None) for loader in loaders)
    codes = [worker.exitcode for iterator in iterators for worker in getattr(iterator, "_workers", ())]
    code = next(filter(None, codes), -signal.SIGBUS if "shared memory" in str(error) else None)
    if code is None:
        return None
    return RunFailed(
        f"a worker that loads images was ended by {how_it_ended(code)}; use fewer data.num_workers, then rerun the "
        "same command to continue from the last checkpoint"
    )


def _begin_worker(parent: int, worker: int) -> None:
    # A scheduler signals every process of a job, but workers must live until their rank has saved a checkpoint.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL, parent)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    worker_queue.send_errors(worker)
