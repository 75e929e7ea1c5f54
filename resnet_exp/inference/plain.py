"""ResNets in plain torch and torchvision, built from the names and shapes of their weights alone.

Of torchvision 0.29.2, a ``Bottleneck`` is extended for stochastic depth. This file needs nothing else of resnet_exp:
`resnet_exp export` copies it beside the weights as ``model.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

METADATA = "resnet_exp"
STAGES = (1, 2, 3, 4)


class BlurredConv2d(nn.Module):
    """A strided convolution behind or before a blur (Zhang, 2019, arXiv:1904.11486); as in Composer 0.32.1."""

    def __init__(self, conv: nn.Conv2d, blur_first: bool) -> None:
        """`conv` is the convolution that takes the place of this one, with its stride."""
        super().__init__()
        self.blur_first, self.stride = blur_first, conv.stride
        channels = conv.in_channels if blur_first else conv.out_channels
        # As it stands in the network, with weights that are loaded later.
        self.conv = conv
        if not blur_first:
            conv.stride = (1, 1)
        self.blur_filter: Tensor
        self.register_buffer("blur_filter", _blur().repeat(channels, 1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Shape NCHW to NCHW."""
        if self.blur_first:
            return self.conv(_blurred(images, self.blur_filter, (1, 1)))
        return _blurred(self.conv(images), self.blur_filter, self.stride)


class BlurredMaxPool2d(nn.Module):
    """The max pooling behind the first convolution of a ResNet, with a blur before its stride."""

    def __init__(self) -> None:
        super().__init__()
        self.filt2d: Tensor
        self.register_buffer("filt2d", _blur())

    def forward(self, images: Tensor) -> Tensor:
        """Shape NCHW to NCHW, half as high and wide."""
        highest = functional.max_pool2d(images, 3, stride=1, padding=1)
        return _blurred(highest, self.filt2d.repeat(images.shape[1], 1, 1, 1), (2, 2))


class ScaledBottleneck(Bottleneck):
    """A block that was left out at random while training (Huang et al., 2016, arXiv:1603.09382): scaled by how often.

    Only for inference. The factor is kept with the weights, so that a network without it refuses them.
    """

    residual_scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Shape NCHW to NCHW."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out * self.residual_scale + shortcut)


def _blur() -> Tensor:
    return torch.tensor([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]) * 1 / 16.0


def _blurred(images: Tensor, blur: Tensor, stride: tuple[int, ...]) -> Tensor:
    return functional.conv2d(images, blur, None, stride, (1, 1), (1, 1), blur.shape[0])


def network_of(weights: Mapping[str, Tensor], blur_first: bool = True) -> ResNet:
    """The ResNet that has these weights, ready for inference.

    Args:
        weights: under torchvision's names; BlurPool's convolutions are called ``NAME.conv`` and have a
            ``NAME.blur_filter``, blocks of stochastic depth a ``NAME.residual_scale``.
        blur_first: whether BlurPool blurs before its convolutions.

    Raises:
        ValueError: they are those of another kind of network.
    """
    try:
        network = _empty(weights)
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise ValueError("these are not the weights of a ResNet like torchvision's") from None
    for name in weights:
        path, _, last = name.rpartition(".")
        if last == "blur_filter":
            conv = _module(network, path)
            if isinstance(conv, nn.Conv2d):
                _replace(network, path, BlurredConv2d(conv, blur_first))
        elif last == "residual_scale":
            block = _module(network, path)
            if isinstance(block, Bottleneck):
                block.__class__ = ScaledBottleneck
                block.register_buffer("residual_scale", torch.ones(()))
    if "maxpool.filt2d" in weights:
        _replace(network, "maxpool", BlurredMaxPool2d())
    missing, unexpected = network.load_state_dict(weights, strict=False)
    if wrong := [*missing, *unexpected]:
        raise ValueError(f"its modules are not those of a ResNet with or without BlurPool, such as {wrong[0]}")
    return network.eval()


def _empty(weights: Mapping[str, Tensor]) -> ResNet:
    """A ResNet of the depth, width and classes that weights have."""
    block = Bottleneck if "layer1.0.conv3.weight" in weights else BasicBlock
    layers = [1 + max(int(name.split(".")[1]) for name in weights if name.startswith(f"layer{n}.")) for n in STAGES]
    width, in_group = weights["layer1.0.conv2.weight"].shape[:2]
    groups = width // in_group
    classes = weights["fc.weight"].shape[0]
    return ResNet(block, layers, num_classes=classes, groups=groups, width_per_group=width // groups)


def _module(network: nn.Module, path: str) -> nn.Module | None:
    try:
        return network.get_submodule(path)
    except AttributeError:
        return None


def _replace(network: nn.Module, path: str, new: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, new)


def load(path: str | Path) -> ResNet:
    """The network of a ``model.safetensors``: normalized images of shape NCHW to logits of shape NC.

    Its metadata has the classes, mean and deviation of the pixels (0 to 255), and how images are resized.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    return network_of(weights, facts.get("blur_first", True))
