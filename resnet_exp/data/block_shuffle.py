"""The order of samples in an epoch: shuffled, though only some of the shards that hold them are needed at a time.

After ``py1e`` of mosaicml-streaming 0.13 (``streaming/base/shuffle/py1e.py``): the seed decides which shards a
canonical node has, seed and epoch decide their order, and each sample moves by a random distance below a block.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_exp.data.contract import Split

Order = npt.NDArray[np.int64]


def shuffled(split: Split, starts: Order, block: int, nodes: int, epoch: int) -> Order:
    """Samples of a rank in an epoch of training; see `of_epoch` for `starts`, `block` and `nodes`."""
    parts = of_epoch(starts, nodes, block, split.seed, epoch)
    return share(parts, split.rank, split.world_size, split.batch_size)


def of_epoch(starts: Order, nodes: int, block: int, seed: int, epoch: int) -> list[Order]:
    """Samples of each canonical node in the order of an epoch; the same number for all nodes.

    Args:
        starts: number of the first sample of each shard, and of all samples.
        nodes: canonical nodes: parts of the shards, each for some of the nodes that train.
        block: samples that are shuffled with each other.
        seed: of the run.
        epoch: number of the epoch.
    """
    parts = _parts(starts, nodes, seed)
    # Surplus samples of larger parts are left out, as is an incomplete last batch.
    least = min(sum(len(piece) for piece in pieces) for pieces in parts)
    streams = [np.random.default_rng((seed, epoch, node)) for node in range(nodes)]
    return [_mixed(pieces, block, stream)[:least] for pieces, stream in zip(parts, streams, strict=True)]


def _parts(starts: Order, nodes: int, seed: int) -> list[list[Order]]:
    """The shards of each canonical node; a shard on the boundary is divided between two."""
    shards = np.random.default_rng(seed).permutation(len(starts) - 1)
    bounds = np.arange(nodes + 1) * starts[-1] // nodes
    parts: list[list[Order]] = [[] for _ in range(nodes)]
    at = 0
    for shard in shards:
        samples = np.arange(int(starts[shard]), int(starts[shard + 1]))
        first, last = (int(np.searchsorted(bounds, place, "right")) - 1 for place in (at, at + len(samples) - 1))
        for node in range(first, last + 1):
            piece = samples[max(0, bounds[node] - at) : bounds[node + 1] - at]
            if len(piece):
                parts[node].append(piece)
        at += len(samples)
    return parts


def _mixed(pieces: list[Order], block: int, random: np.random.Generator) -> Order:
    samples = np.concatenate([pieces[number] for number in random.permutation(len(pieces))])
    places = np.arange(len(samples)) + random.uniform(0, block, len(samples))
    return samples[np.argsort(places, kind="stable")]


def share(parts: list[Order], rank: int, world_size: int, batch_size: int) -> Order:
    """The samples of one rank: every canonical node supplies the same share of each global batch, to consecutive ranks.

    Args:
        parts: of `of_epoch`; their number divides the batch of all ranks.
        rank: whose samples.
        world_size: ranks.
        batch_size: samples that a rank has in a batch.
    """
    whole = world_size * batch_size
    each = whole // len(parts)
    batches = min(len(part) for part in parts) // each
    order = np.stack([part[: batches * each].reshape(batches, each) for part in parts], axis=1)
    return order.reshape(batches, world_size, batch_size)[:, rank].reshape(-1)
