"""Batches on their way to a GPU that is late: each is what the loader gave, whatever memory it was in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from composer.trainer.trainer import _get_distributed_sampler
from torch.utils.data import DataLoader

from resnet_exp.data import imagefolder
from resnet_exp.data.contract import Batch, Loader
from resnet_exp.data.device_copy import Prefetched
from support.late_gpu import Gpu
from support.loaders import Batches, epoch_of, open_loader, same, split_of
from support.photos import write_photos

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def trained_on(gpu: Gpu, batches: Iterator[Batch]) -> Batches:
    """What the GPU sees of batches when it comes to them, long after the host went on."""
    seen: Batches = []
    for images, labels in batches:
        assert images.is_cuda and labels.is_cuda
        gpu.compute(lambda batch=(images, labels): seen.append((batch[0].clone(), batch[1].clone())))
    gpu.catch_up()
    return seen


class OneBuffer:
    """A loader that writes each batch to the same memory."""

    batch_size, images = 2, 9

    def __init__(self, pinned: bool) -> None:
        self.asked = 0
        self._buffer = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
        if pinned:
            self._buffer = self._buffer[0].pin_memory(), self._buffer[1].pin_memory()

    def __len__(self) -> int:
        return 5

    def seek(self, epoch: int, batch: int) -> None:
        pass

    def __iter__(self) -> Iterator[Batch]:
        for number in range(5):
            self.asked += 1
            for part in self._buffer:
                part[:] = number
            count = 1 if number == 4 else 2
            yield self._buffer[0][:count], self._buffer[1][:count]


@pytest.mark.parametrize("kind", ["proportion", "streaming"])
def test_a_buffer_is_not_written_to_before_it_is_copied(kind: str, photos: Path, gpu: Gpu) -> None:
    expected = epoch_of(open_loader(kind, photos, num_workers=2), epoch=3)
    loader = open_loader(kind, photos, num_workers=2, on_gpu=True)
    for epoch in (3, 3):
        loader.seek(epoch, 0)
        assert same(trained_on(gpu, iter(loader)), expected)
    assert len(gpu.recorded) == gpu.begun == 2 * 2 * len(expected), "memory is kept for the stream that trains"


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "pageable"])
def test_a_loader_may_use_its_memory_again(pinned: bool, gpu: Gpu) -> None:
    loader = OneBuffer(pinned)
    seen = trained_on(gpu, iter(Prefetched(loader)))
    assert [labels.tolist() for _, labels in seen] == [[0, 0], [1, 1], [2, 2], [3, 3], [4]]
    assert [images.unique().tolist() for images, _ in seen] == [[0], [1], [2], [3], [4]]


def test_one_batch_is_on_its_way_while_another_is_trained_on(gpu: Gpu) -> None:
    loader, begun = OneBuffer(pinned=True), []
    for _ in Prefetched(loader):
        assert loader.asked * 2 == gpu.begun, "images and labels of each batch"
        begun.append(loader.asked)
    assert begun == [2, 3, 4, 5, 5]


@pytest.mark.parametrize("workers", [0, 2])
def test_image_files_are_copied_ahead(workers: int, photos: Path, gpu: Gpu) -> None:
    expected = epoch_of(open_loader("imagefolder", photos), epoch=2)
    loader: Loader = Prefetched(open_loader("imagefolder", photos, num_workers=workers))
    loader.seek(2, 0)
    assert same(trained_on(gpu, iter(loader)), expected)
    loader.seek(2, 5)
    assert same(trained_on(gpu, iter(loader)), expected[5:]), "resumed"
    loader.seek(2, 8)
    assert trained_on(gpu, iter(loader)) == [], "resumed after the last batch"


def test_any_thread_uses_the_gpu_of_its_rank(gpu: Gpu) -> None:
    with ThreadPoolExecutor(1) as thread:
        seen = thread.submit(trained_on, gpu, iter(Prefetched(OneBuffer(pinned=True)))).result()
    assert len(seen) == 5


def test_an_evaluation_may_end_with_a_smaller_batch(photos: Path, gpu: Gpu) -> None:
    how: dict[str, Any] = {"train": False, "batch_size": 3}
    expected = epoch_of(open_loader("imagefolder", photos, **how), epoch=0)
    assert [len(labels) for _, labels in expected] == [3, 3, 2]
    assert same(trained_on(gpu, iter(Prefetched(open_loader("imagefolder", photos, **how)))), expected)


def test_an_epoch_that_is_left_ends_the_threads_of_its_loader(photos: Path, gpu: Gpu) -> None:
    loader = Prefetched(open_loader("raw", photos, num_workers=2))
    before = threading.active_count()
    batches = iter(loader)
    next(batches)
    assert threading.active_count() > before
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


def test_batches_of_a_gpu_are_handed_on(photos: Path, gpu: Gpu) -> None:
    loader = open_loader("raw", photos, on_gpu=True)
    given = list(Prefetched(loader))
    assert len(given) == 8 and gpu.begun == 2 * 8


def test_composer_takes_it_for_the_loader(photos: Path, gpu: Gpu) -> None:
    loader = Prefetched(imagefolder.make_loader(split_of(photos)))
    assert isinstance(loader, DataLoader)
    assert _get_distributed_sampler(loader) is loader.sampler
    assert (len(loader), loader.batch_size, loader.images) == (8, 4, 32)
