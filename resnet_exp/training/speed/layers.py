"""Layers of Composer's that torch.compile traces in one piece, with the same weights under the same names.

Composer 0.32.1 computes the padding of a blur from a tensor, and keeps the drop rate of a stochastic block as one: both
are read back to Python in the middle of the network, where each splits the graph.
"""

from __future__ import annotations

from composer.algorithms.blurpool.blurpool_layers import BlurConv2d, BlurMaxPool2d
from torch import Tensor, nn
from torch.nn import functional

# Of Composer's only filter, 3x3.
PADDING = 1


def blur(images: Tensor, weight: Tensor, stride: int | tuple[int, int]) -> Tensor:
    """Blur each channel.

    Args:
        images: shape NCHW.
        weight: one 3x3 filter a channel, shape C133.
        stride: of the result.
    """
    return functional.conv2d(images, weight, None, stride, PADDING, 1, weight.shape[0])


class CompilableBlurConv2d(BlurConv2d):
    """Composer's blur and convolution (``composer.algorithms.blurpool``), with plain numbers for the padding."""

    blur_filter: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """Blur, then convolve, or the reverse without ``blur_first``."""
        if self.blur_first:
            return self.conv(blur(input, self.blur_filter, self.blur_stride))
        return blur(self.conv(input), self.blur_filter, self.blur_stride)


class CompilableBlurMaxPool2d(BlurMaxPool2d):
    """Composer's max pooling and blur, with plain numbers for the padding."""

    filt2d: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """Take the maximum around each pixel, then blur it down."""
        highest = functional.max_pool2d(input, self.kernel_size, 1, self.padding, self.dilation, self.ceil_mode)
        return blur(highest, self.filt2d.repeat(highest.shape[1], 1, 1, 1), self.stride)


COMPILABLE: dict[type[nn.Module], type[nn.Module]] = {
    BlurConv2d: CompilableBlurConv2d,
    BlurMaxPool2d: CompilableBlurMaxPool2d,
}


def make_compilable(network: nn.Module) -> None:
    """Replace what splits the graph; parameters, buffers, their names and the arithmetic stay."""
    for module in network.modules():
        if (kind := COMPILABLE.get(type(module))) is not None:
            module.__class__ = kind
        if isinstance(rate := getattr(module, "drop_rate", None), Tensor):
            module.drop_rate = rate.item()  # pyright: ignore[reportArgumentType]
