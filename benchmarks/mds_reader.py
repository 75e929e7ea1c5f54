"""Reads or writes shards, by our code or the package's, in processes of `mds_faults.py` and `mds_resume.py`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from data_loaders import SHARDS
from mds_contenders import OURS, answer, split_of

BATCH, A_SHARD, CLASSES = 10, 25, 250
Seen = list[tuple[int, str]]


def settings(root: Path, remote: str | None) -> dict[str, Any]:
    """Of our shards."""
    changes = {"images_per_shard": A_SHARD, "remote": remote, "cache_dir": str(root / "cache")}
    return {**SHARDS, **changes}


def _options() -> Any:
    from resnet_exp.data.conversion.process import ConversionOptions

    return ConversionOptions(2, lambda text: None, classes=CLASSES)


def read_ours(root: Path, remote: str | None) -> Iterator[Seen]:
    """Check and read as a run does."""
    from resnet_exp.core.errors import RequestError, RunFailed
    from resnet_exp.data import streaming
    from resnet_exp.data.streaming.files import MDSShards

    photos = root / "photos"
    try:
        MDSShards(**settings(root, remote)).prepare(str(photos), _options())
        split = split_of(photos, classes=CLASSES, batch_size=BATCH, crop=32)
        for images, labels in streaming.make_loader(split, **settings(root, remote)):
            yield [(int(label), _digest(image.numpy())) for image, label in zip(images, labels, strict=True)]
    except (RequestError, RunFailed) as error:
        sys.exit(f"Error: {error}")


def read_package(root: Path, remote: str | None, hashes: bool) -> Iterator[Seen]:
    """Read as users of the package do."""
    import numpy as np
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    if remote:
        local, remote = root / "local", f"{remote}/train"
    else:
        local = next((root / "cache" / "mds").glob("*/train"))
    data = StreamingDataset(
        local=str(local), remote=remote, shuffle=True, batch_size=BATCH, num_canonical_nodes=1,
        validate_hash="blake2b" if hashes else None,
    )  # fmt: skip

    def gathered(samples: list[dict[str, Any]]) -> Seen:
        return [(int(sample["y"]), _digest(np.asarray(sample["x"]))) for sample in samples]

    yield from DataLoader(data, batch_size=BATCH, num_workers=2, collate_fn=gathered)


def order_ours(words: dict[str, Any]) -> tuple[list[list[int]], int]:
    """Labels of the batches of a rank, and how many batches of the epoch are done."""
    from resnet_exp.data import streaming

    root = Path(words["root"])
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    split = split_of(
        root / "photos", train=words.get("train", True), classes=CLASSES, batch_size=words["batch"], crop=32, resize=32,
        rank=rank, world_size=ranks, num_workers=words["workers"],
    )  # fmt: skip
    loader = streaming.make_loader(split, **settings(root, None))
    loader.seek(0, first := words.get("state") or 0)
    batches = [[int(label) for label in labels if label >= 0] for _, labels in islice(loader, words.get("stop"))]
    return batches, first + len(batches)


def order_package(words: dict[str, Any]) -> tuple[list[list[int]], dict[str, Any] | None]:
    """Labels of the batches of a rank, and the state then."""
    from streaming import StreamingDataLoader, StreamingDataset

    train = words.get("train", True)
    local = next((Path(words["root"]) / "cache" / "mds").glob("*/train"))
    data = StreamingDataset(local=str(local), shuffle=train, batch_size=words["batch"], num_canonical_nodes=1)

    def labels_of(samples: list[dict[str, Any]]) -> list[list[int]]:
        return [[int(sample["y"]) for sample in samples]]

    loader = StreamingDataLoader(data, batch_size=words["batch"], num_workers=words["workers"], collate_fn=labels_of)
    if words.get("state"):
        loader.load_state_dict(words["state"])
    batches = []
    for number, (labels,) in enumerate(loader, start=1):
        batches.append(labels)
        if number == words.get("stop"):
            break
    return batches, loader.state_dict()


def _digest(pixels: Any) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()[:16]


def write_ours(root: Path) -> None:
    """Convert as a run does."""
    from resnet_exp.core.errors import RequestError, RunFailed
    from resnet_exp.data.streaming.files import MDSShards

    try:
        MDSShards(**settings(root, None)).prepare(str(root / "photos"), _options())
    except (RequestError, RunFailed) as error:
        sys.exit(f"Error: {error}")


def write_package(root: Path) -> None:
    """Convert with `MDSWriter`, as the package's own scripts do (`streaming/vision/convert/imagenet.py`)."""
    from PIL import Image
    from streaming import MDSWriter

    for split in ("train", "val"):
        out = root / "cache" / "mds" / "photos" / split
        with MDSWriter(
            out=str(out), columns={"x": "bytes", "y": "int"}, hashes=["blake2b"], size_limit=A_SHARD * 6000
        ) as writer:
            for path in sorted((root / "photos" / split).rglob("*.jpg")):
                content = path.read_bytes()
                with Image.open(path) as image:
                    image.load()
                writer.write({"x": content, "y": int(path.parent.name)})


def main() -> int:
    """Command line; returns the exit code."""
    does, words = sys.argv[1], json.loads(sys.argv[2])
    root, name, remote = Path(words["root"]), words["name"], words["remote"]
    if does == "write":
        (write_ours if name == OURS else write_package)(root)
        answer({})
        return 0
    if does == "order":
        batches, state = (order_ours if name == OURS else order_package)(words)
        answer({"batches": batches, "state": state})
        return 0
    batches = read_ours(root, remote) if name == OURS else read_package(root, remote, words["hashes"])
    found = next(batches)
    if does == "hold":
        answer({})
        time.sleep(3600)
    found = sorted([*found, *(pair for batch in batches for pair in batch)])
    answer({"labels": [label for label, _ in found], "pixels": [pixels for _, pixels in found]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
