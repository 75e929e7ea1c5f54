"""What `benchmarks/mds.py` and `benchmarks/mds_faults.py` compare: our code for MDS shards, and the package's.

Everything here runs in the interpreter of the environment that is measured, in a process of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from data_loaders import BATCH, FULL, SHARDS

OURS, NORMAL, HYBRID = "ours", "package", "package's bytes, our decoding"
WORKERS = 2


def folder_of(root: Path) -> Path:
    """Our shards of the photographs below `root`."""
    from resnet_exp.data.streaming.files import MDSShards

    return MDSShards(**SHARDS, cache_dir=str(root.parent / "cache")).place_of(str(root), "train")


def split_of(root: Path, **changes: Any) -> Any:
    """What our loader loads: crops of 176 px, flips, with as many threads as the package has processes."""
    from resnet_exp.data.contract import Split

    values = dict(
        train=True, root=str(root), classes=2, batch_size=BATCH, crop=FULL, resize=232, crop_scale=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=17, rank=0, world_size=1, num_workers=WORKERS, prefetch_factor=2,
        on_gpu=False, side_at=None,
    )  # fmt: skip
    return Split(**{**values, **changes})


def ours(root: Path) -> Iterable[Any]:
    """Our loader."""
    from resnet_exp.data import streaming

    return streaming.make_loader(split_of(root), **SHARDS, cache_dir=str(root.parent / "cache"))


def normal(root: Path) -> Iterable[Any]:
    """The package as it is used: its data set, torch's loader with worker processes, torchvision's transforms."""
    import torch
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = v2.Compose([v2.RandomResizedCrop(FULL, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()])

    class Images(StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            sample = super().__getitem__(at)
            return steps(sample["x"]), sample["y"]

    data = Images(local=str(folder_of(root)), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)
    return DataLoader(data, batch_size=BATCH, drop_last=True, num_workers=WORKERS, persistent_workers=True)


def hybrid(root: Path) -> Iterable[Any]:
    """Our threads and decoding on the bytes that the package's data set gives, in its order."""
    import numpy as np
    from streaming import StreamingDataset

    from resnet_exp.data.streaming import loader
    from resnet_exp.data.streaming.files import MDSShards
    from resnet_exp.data.thread_loader import ThreadLoader, shuffled

    data = StreamingDataset(local=str(_as_bytes(root)), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)

    class Images(loader.ShardImages):
        def read(self, batches: Sequence[Any], lag: int) -> Generator[Any, None, None]:
            self._samples = iter(data)
            yield from map(self._stored, batches)

        def _read(self, indices: Any) -> Any:
            samples = [next(self._samples) for _ in indices]
            ends = np.cumsum([len(sample["x"]) for sample in samples])
            content = np.frombuffer(b"".join(sample["x"] for sample in samples), np.uint8)
            return content, np.concatenate([[0], ends[:-1]]), ends, np.array([sample["y"] for sample in samples])

    split = split_of(root)
    store = MDSShards(**SHARDS, cache_dir=str(root.parent / "cache")).store_of(str(root), "train")
    images = Images(store, 2)
    return ThreadLoader(split, images, lambda epoch: shuffled(split, len(images), epoch))


def _as_bytes(root: Path) -> Path:
    """The same shards with an index by which the package does not make Pillow's images of JPEGs."""
    folder, copy = folder_of(root), root.parent / "as bytes"
    copy.mkdir(exist_ok=True)
    for shard in folder.glob("*.mds"):
        if not (copy / shard.name).exists():
            (copy / shard.name).symlink_to(shard)
    (copy / "index.json").write_text((folder / "index.json").read_text().replace('"jpeg"', '"bytes"'))
    return copy


LOADERS: dict[str, Callable[[Path], Iterable[Any]]] = {OURS: ours, NORMAL: normal, HYBRID: hybrid}


def samples_of(folder: Path) -> list[tuple[bytes, int]]:
    """JPEGs and labels of our shards."""
    from resnet_exp.data.streaming import mds

    found: list[tuple[bytes, int]] = []
    for shard in mds.read_index(folder / mds.INDEX, "x", "y").shards:
        content = (folder / shard.name).read_bytes()
        ends = [int.from_bytes(content[4 + 4 * row : 8 + 4 * row], "little") for row in range(shard.samples + 1)]
        for start, end in pairwise(ends):
            found.append((content[start + 4 : end - 8], int.from_bytes(content[end - 8 : end], "little")))
    return found


def write_ours(samples: list[tuple[bytes, int]], folder: Path, a_shard: int) -> None:
    """Write as a worker of our conversion does."""
    from resnet_exp.data.streaming import mds, shard_worker

    folder.mkdir()
    entries = []
    for number, start in enumerate(range(0, len(samples), a_shard)):
        part, name = samples[start : start + a_shard], f"shard.{number:05d}.mds"
        content = mds.shard_bytes(part)
        shard_worker._write(folder / name, content)
        entries.append(mds.entry_of(name, content, len(part)))
    mds.write_index(folder, entries)


def write_package(samples: list[tuple[bytes, int]], folder: Path, a_shard: int) -> None:
    """Write with `MDSWriter`, in shards of about as many images; JPEGs stay as they are."""
    from streaming import MDSWriter

    most = int(1.001 * a_shard * sum(len(jpeg) for jpeg, _ in samples) / len(samples))
    columns = {"x": "bytes", "y": "int"}
    with MDSWriter(out=str(folder), columns=columns, hashes=["blake2b"], size_limit=most) as writer:
        for jpeg, label in samples:
            writer.write({"x": jpeg, "y": label})


def cpu_seconds() -> float:
    """CPU time of this process and of its children that are alive."""
    found = [process.cpu_times() for process in family()]
    return sum(times.user + times.system for times in found)


def family() -> list[psutil.Process]:
    """This process and its descendants."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def started(name: str, root: Path) -> dict[str, float]:
    """Seconds from nothing to the imports, and from there to the first batch; memory and processes then."""
    began = time.monotonic()
    if name == OURS:
        import resnet_exp.data.streaming.loader  # noqa: F401
    else:
        import streaming  # noqa: F401
        import torch.utils.data  # noqa: F401
        import torchvision.transforms.v2  # noqa: F401
    imported, import_cpu = time.monotonic(), time.process_time()
    batches = iter(LOADERS[name](root))
    next(batches)
    found = {"import": imported - began, "import_cpu": import_cpu, "first": time.monotonic() - imported}
    alive = family()
    memory = sum(process.memory_full_info().pss for process in alive) / 2**20
    shared = len(os.listdir("/dev/shm"))
    return {**found, "memory": memory, "processes": len(alive), "shared": shared}


def answer(numbers: dict[str, Any]) -> None:
    """Give a result to the process that asked."""
    print(f"answer {json.dumps(numbers)}", flush=True)  # noqa: T201
