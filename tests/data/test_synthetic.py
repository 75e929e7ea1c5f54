"""Random images are laid out as FFCV's, so that their speed is the limit of ``data=ffcv``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_exp.data import synthetic
from resnet_exp.data.contract import IGNORED
from resnet_exp.training.loaders import images_dtype
from support.configs import make_config
from support.loaders import split_of

DATA = ("recipe=mild", "dataset=imagenet", "dataset.dir=/data")


class Operations(TorchDispatchMode):
    """The names of the operations in a block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def side_at(epoch: int, batch: int, batches: int) -> int:
    return 12


@pytest.mark.parametrize("side", [None, side_at])
def test_batches_are_dense_nhwc_bytes(side: Callable[[int, int, int], int] | None) -> None:
    split = split_of(Path(), batch_size=8, crop=20, side_at=side)
    (images, labels), *_ = synthetic.make_loader(split, train_images=100, val_images=21, distinct_images=5)
    assert images.dtype == torch.uint8 and images.shape == (8, 3, *[12 if side else 20] * 2)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images[5:], images[:3]) and torch.equal(labels[5:], labels[:3])
    assert len(images.unique(dim=0)) == 5


def test_a_batch_waits_for_no_device() -> None:
    """Numbers from the CPU, boolean masks and scalars would each wait for all that a GPU still has to do."""
    loader = synthetic.make_loader(split_of(Path(), batch_size=8, crop=20, train=False), 100, 21, 4)
    with Operations() as seen:
        *_, (_, last) = loader
    waiting = {"_local_scalar_dense", "nonzero", "index", "index_put_", "_to_copy", "copy_"}
    assert "index_select" in seen.names and not seen.names & waiting, seen.names
    assert len(last) == 5 and IGNORED not in last.tolist()


def test_padding_is_ignored() -> None:
    """Of 21 images the last batch has 5; three ranks have two each, of which the last one pads."""
    lasts = []
    for rank in range(3):
        split = split_of(Path(), batch_size=8, crop=20, train=False, rank=rank, world_size=3)
        *_, (_, labels) = synthetic.make_loader(split, 100, 29, 4)
        lasts.append((labels == IGNORED).tolist())
    assert lasts == [[False, False], [False, False], [False, True]]


def test_training_images_have_the_type_of_ffcvs() -> None:
    for words in (("hardware=a100x8",), ("hardware=a100x8", "hardware.precision=amp_bf16"), ("hardware=cpu",)):
        like, ours = (make_config(*DATA, *words, f"data={name}") for name in ("ffcv", "synthetic"))
        assert [images_dtype(ours, train) for train in (True, False)] == [images_dtype(like, t) for t in (True, False)]
    assert images_dtype(make_config(*DATA, "hardware=a100x8", "data=synthetic"), train=True) == torch.float16
