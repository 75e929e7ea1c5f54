"""The kernels of one training step of a ResNet: what they compute, read and write, from the model's shape alone.

Counted is what eager PyTorch runs with ``channels_last`` and automatic mixed precision. A convolution's backward pass
counts as one kernel that reads each of its inputs once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from resnet_exp.config.schema import ModelConfig

# Channels of the four stages, and the expansion factor of a bottleneck (He et al. 2016, as in torchvision 0.22).
STAGES, EXPANSION, STEM, IMAGE_CHANNELS = (64, 128, 256, 512), {"basic": 1, "bottleneck": 4}, 64, 3
# Batch normalization reads its input twice: once for the statistics.
BATCH_NORM_PASSES = 1.5
# Bytes of an index of a max pool, for each of its outputs.
INDEX_BYTES = 8
# BlurPool leaves convolutions of fewer input channels alone: ``min_channels`` of the recipes.
BLUR_FROM_CHANNELS = 16


@dataclass(frozen=True)
class Kernel:
    """One kernel.

    Attributes:
        kind: ``convolution``, ``blur``, ``batch norm`` or ``elementwise``.
        elements: activations that it reads and writes, for each image.
        flops: floating point operations for each image, two for a multiplication with addition; 0 where
            memory is the only limit.
        weights: weights that it reads and gradients that it writes, for each batch.
        index_bytes: read and written for each image beside the activations.
    """

    kind: str
    elements: float
    flops: float = 0
    weights: int = 0
    index_bytes: int = 0


@dataclass
class Layer:
    """Weights whose gradients are ready together, and their kernels in the order in which they run."""

    weights: int = 0
    forward: list[Kernel] = field(default_factory=list[Kernel])
    backward: list[Kernel] = field(default_factory=list[Kernel])


def parameters(model: ModelConfig) -> int:
    """Number of weights of the ResNet that ``model`` describes, including those of batch norm."""
    return sum(layer.weights for layer in layers(model, 224))


def layers(model: ModelConfig, side: int, blurred: bool = False) -> list[Layer]:
    """The layers in the order of the forward pass, for square images of `side` pixels.

    Args:
        model: shape of the network.
        side: of the training images in pixels.
        blurred: with BlurPool (Zhang 2019, arXiv:1904.11486) as in the recipes.
    """
    return list(_Walk(model, side, blurred).network())


class _Walk:
    """A walk through the network with the current number of channels and side of the activations."""

    def __init__(self, model: ModelConfig, side: int, blurred: bool) -> None:
        self.model, self.blurred = model, blurred
        self.side, self.channels = side, IMAGE_CHANNELS

    def network(self) -> Iterator[Layer]:
        yield self._convolution(STEM, 7, 2)
        yield self._batch_norm(relu=True)
        yield self._max_pool()
        for stage, (planes, blocks) in enumerate(zip(STAGES, self.model.layers, strict=True)):
            for block in range(blocks):
                yield from self._block(planes, 2 if stage and not block else 1)
        yield self._classifier()

    def _block(self, planes: int, stride: int) -> Iterator[Layer]:
        out = planes * EXPANSION[self.model.block]
        side, channels = self.side, self.channels
        if self.model.block == "basic":
            yield self._convolution(planes, 3, stride)
            yield self._batch_norm(relu=True)
            yield self._convolution(planes, 3, 1)
        else:
            groups = self.model.groups
            width = int(planes * self.model.width_per_group / 64) * groups
            yield self._convolution(width, 1, 1)
            yield self._batch_norm(relu=True)
            yield self._convolution(width, 3, stride, groups)
            yield self._batch_norm(relu=True)
            yield self._convolution(out, 1, 1)
        yield self._batch_norm(relu=False)
        if stride > 1 or channels != out:
            self.side, self.channels = side, channels
            yield self._convolution(out, 1, stride)
            yield self._batch_norm(relu=False)
        yield self._addition(side**2 * channels)

    def _convolution(self, out: int, kernel: int, stride: int, groups: int = 1) -> Layer:
        layer, first = Layer(), self.channels == IMAGE_CHANNELS
        taken = self.side**2 * self.channels
        if stride > 1 and self.blurred and self.channels >= BLUR_FROM_CHANNELS:
            layer.forward.append(Kernel("blur", 2 * taken))
            layer.backward.append(Kernel("blur", 3 * taken))
        layer.weights = self.channels * out * kernel**2 // groups
        self.side = -(-self.side // stride)
        given = self.side**2 * out
        flops = 2 * layer.weights * self.side**2
        layer.forward.append(Kernel("convolution", taken + given, flops, layer.weights))
        # The first one needs no gradient of the images.
        both = Kernel(
            "convolution", given + taken * (1 if first else 2), flops * (1 if first else 2), 2 * layer.weights
        )
        layer.backward.insert(0, both)
        self.channels = out
        return layer

    def _batch_norm(self, relu: bool) -> Layer:
        size = self.side**2 * self.channels
        layer = Layer(
            weights=2 * self.channels,
            forward=[Kernel("batch norm", BATCH_NORM_PASSES * 2 * size)],
            backward=[Kernel("batch norm", BATCH_NORM_PASSES * 3 * size)],
        )
        return self._with_relu(layer, size) if relu else layer

    def _with_relu(self, layer: Layer, size: int) -> Layer:
        layer.forward.append(Kernel("elementwise", 2 * size))  # in place
        layer.backward.insert(0, Kernel("elementwise", 3 * size))
        return layer

    def _addition(self, entered: int) -> Layer:
        """The sum with the shortcut and its ReLU; backward also the sum of both gradients of the block's input."""
        size = self.side**2 * self.channels
        layer = Layer(forward=[Kernel("elementwise", 3 * size)], backward=[Kernel("elementwise", 3 * entered)])
        return self._with_relu(layer, size)

    def _max_pool(self) -> Layer:
        before = self.side**2 * self.channels
        after = before if self.blurred else (-(-self.side // 2)) ** 2 * self.channels
        indices = INDEX_BYTES * after
        layer = Layer(
            forward=[Kernel("elementwise", before + after, index_bytes=indices)],
            backward=[Kernel("elementwise", after + 2 * before, index_bytes=indices)],
        )
        self.side = -(-self.side // 2)
        if self.blurred:
            smaller = self.side**2 * self.channels
            layer.forward.append(Kernel("blur", before + smaller))
            layer.backward.insert(0, Kernel("blur", 2 * before + smaller))
        return layer

    def _classifier(self) -> Layer:
        classes, size = self.model.num_classes, self.side**2 * self.channels
        weights, flops = self.channels * classes, 2 * self.channels * classes
        return Layer(
            weights=weights + classes,
            forward=[
                Kernel("elementwise", size + self.channels),
                Kernel("convolution", self.channels + classes, flops, weights),
            ],
            backward=[
                Kernel("convolution", 2 * (self.channels + classes), 2 * flops, 2 * weights),
                Kernel("elementwise", size + self.channels),
            ],
        )
