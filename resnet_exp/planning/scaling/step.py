"""Time of a training step on paper: the roofline of one GPU, and gradients that others must agree on.

The gradients are those of DistributedDataParallel (Li et al. 2020, arXiv:2006.15704): buckets that are reduced one
after the other while the backward pass goes on. What is left when it ends is waited for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resnet_exp.config.network import Kernel, Layer
from resnet_exp.planning.scaling.machines import Fleet, Gpu

# What good kernels reach of a GPU's memory bandwidth and of its peak of operations, and the shortest kernel.
REACHED_BANDWIDTH, REACHED_FLOPS, SHORTEST_KERNEL = 0.8, 0.55, 3e-6
HALF_BYTES, FULL_BYTES = 2, 4
# SGD with momentum, a list of weights at a time: reads and writes of weights, gradients and momentum.
OPTIMIZER_PASSES = 10
# torch/nn/parallel/distributed.py of torch 2.14: bucket_cap_mb, and the smaller first bucket.
BUCKET_BYTES, FIRST_BUCKET_BYTES = 25 * 2**20, 2**20
# Estimated, not measured: a host needs as long to start the kernels of an eager step of ResNet-50.
HOST_SECONDS = 7e-3
# What NCCL reaches of a link: about 235 of 300 GB/s on eight A100 (nccl-tests).
REACHED_LINK = 0.78
# NCCL's own model of a tree (src/graph/tuning.cc of 2.2x): to begin, each hop in a node, each hop between nodes.
ALL_REDUCE_SECONDS, NODE_HOP_SECONDS, NETWORK_HOP_SECONDS = 8.4e-6, 4.0e-6, 14e-6


@dataclass(frozen=True)
class Step:
    """Seconds of one training step.

    Attributes:
        bound: of one GPU at its reachable peaks, without others.
        compute: the same as real eager kernels take, or longer where the host starts them too slowly.
        exposed: waited for gradients of other GPUs, after the backward pass.
    """

    bound: float
    compute: float
    exposed: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute + self.exposed


def bound_seconds(network: Iterable[Layer], gpu: Gpu, images: int) -> float:
    """Shortest time of one step of `images` images on one GPU: forward, backward, optimizer."""
    total = 0.0
    weights = 0
    for layer in network:
        weights += layer.weights
        total += sum(kernel_seconds(kernel, gpu, images) for kernel in (*layer.forward, *layer.backward))
    return total + optimizer_seconds(weights, gpu)


def kernel_seconds(kernel: Kernel, gpu: Gpu, images: int) -> float:
    """Shortest time of one kernel in half precision."""
    moved = images * (HALF_BYTES * kernel.elements + kernel.index_bytes) + HALF_BYTES * kernel.weights
    memory = moved / (REACHED_BANDWIDTH * gpu.bytes_per_second)
    return max(memory, images * kernel.flops / (REACHED_FLOPS * gpu.half_flops), SHORTEST_KERNEL)


def optimizer_seconds(weights: int, gpu: Gpu) -> float:
    """Shortest time of the optimizer's step, with weights in full precision."""
    return OPTIMIZER_PASSES * FULL_BYTES * weights / (REACHED_BANDWIDTH * gpu.bytes_per_second)


def step_of(network: Sequence[Layer], fleet: Fleet, images: int, slowdown: float) -> Step:
    """One step of a fleet.

    Args:
        network: from `resnet_exp.config.network.layers`.
        fleet: the GPUs.
        images: of each GPU.
        slowdown: of real kernels, times their bound.
    """
    bound = bound_seconds(network, fleet.gpu, images)
    return Step(bound, max(bound * slowdown, HOST_SECONDS), exposed_seconds(network, fleet, images, slowdown))


def exposed_seconds(network: Sequence[Layer], fleet: Fleet, images: int, slowdown: float) -> float:
    """Time between the end of the backward pass and that of the last bucket of gradients."""
    if fleet.gpus == 1:
        return 0.0
    now = done = 0.0
    bucket, limit = 0, FIRST_BUCKET_BYTES
    for layer in reversed(network):
        now += slowdown * sum(kernel_seconds(kernel, fleet.gpu, images) for kernel in layer.backward)
        bucket += FULL_BYTES * layer.weights
        if bucket >= limit:
            done = max(done, now) + all_reduce_seconds(bucket, fleet)
            bucket, limit = 0, BUCKET_BYTES
    if bucket:
        done = max(done, now) + all_reduce_seconds(bucket, fleet)
    return max(0.0, done - now)


def all_reduce_seconds(size: int, fleet: Fleet) -> float:
    """Time for all GPUs to sum `size` bytes: the slowest link carries 2 (n - 1) / n of them."""
    slowest = fleet.gpu.link_bytes_per_second
    if fleet.nodes > 1:
        slowest = min(slowest, fleet.network_bytes_per_second)
    hops = NODE_HOP_SECONDS * (fleet.gpus // fleet.nodes - 1) + NETWORK_HOP_SECONDS * math.log2(fleet.nodes)
    carried = 2 * (fleet.gpus - 1) / fleet.gpus * size
    return ALL_REDUCE_SECONDS + 2 * hops + carried / (REACHED_LINK * slowest)
