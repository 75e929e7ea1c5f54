"""torch.compile of the network, without a change to what is saved of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from resnet_exp.training.speed.layers import make_compilable

BACKEND: str | Callable[..., Any] = "inductor"


class CompiledResNet(ResNet):
    """A ResNet whose forward and backward passes are compiled; nothing else of it differs, not even a name.

    A copy of it is compiled as well, as the compiled function belongs to no object; with ``nn.Module.compile`` of torch
    2.14.1 it would not be. ``ResNet.forward`` of torchvision 0.29.2 does nothing but call ``_forward_impl``.
    """

    compiled: Callable[[ResNet, Tensor], Tensor]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images of shape NCHW. Graphs are made for strides too, so images get those of the weights."""
        nhwc = self.conv1.weight.is_contiguous(memory_format=torch.channels_last)
        return self.compiled(self, x.contiguous(memory_format=torch.channels_last if nhwc else torch.contiguous_format))


def compile_network(network: nn.Module) -> None:
    """Have the network of a model compiled; that happens when it first sees a shape."""
    assert isinstance(network, ResNet)
    make_compilable(network)
    network.__class__ = CompiledResNet
    assert isinstance(network, CompiledResNet)
    network.compiled = torch.compile(ResNet._forward_impl, dynamic=False, backend=BACKEND)
