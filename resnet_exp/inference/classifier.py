"""Classify images: files, Pillow images or arrays to class names and probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.imagefolder.pillow import collate
from resnet_exp.data.images.image_file import load_rgb, to_rgb
from resnet_exp.inference.description import Description

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]
BATCH = 32


@dataclass(frozen=True)
class Guess:
    """A class and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What an image shows, the most probable class first; or why the image cannot be read.

    Attributes:
        image: its path; empty for one that has none.
        guesses: the most probable classes.
        error: one line, None for an image that was classified.
    """

    image: str
    guesses: tuple[Guess, ...] = ()
    error: str | None = None


class Classifier:
    """A trained network with its classes and the preparation of its images.

    Attributes:
        network: in evaluation mode; normalized images of shape NCHW to logits of shape NC.
        description: classes, mean, deviation and sizes.
        device: where it computes.
    """

    def __init__(self, network: nn.Module, description: Description, device: torch.device) -> None:
        self.network, self.description, self.device = network.to(device).eval(), description, device
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(description.mean, device=device).view(shape)
        self._std = torch.tensor(description.std, device=device).view(shape)
        self._resize = transforms.Compose(
            [transforms.Resize(description.resize), transforms.CenterCrop(description.crop)]
        )

    def prepare(self, image: Image.Image) -> Image.Image:
        """What the network gets of an image: RGB, resized, its center cropped, as in the run's evaluations."""
        return self._resize(to_rgb(image))

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Softmax of the logits.

        Args:
            images: RGB pixels, 0 to 255, shape NCHW, of the size that `prepare` makes.

        Returns:
            Shape NC, on the CPU.
        """
        normalized = (images.to(self.device, torch.float32) - self._mean) / self._std
        return self.network(normalized).float().softmax(1).cpu()

    def predict(self, images: Iterable[Picture], top: int = 5) -> Iterator[Prediction]:
        """Classify images, in their order; one that cannot be read has an `Prediction.error`, the others an answer.

        Args:
            images: paths, Pillow images, or arrays of shape HWC (RGB, 0 to 255).
            top: number of classes of each answer.
        """
        waiting = iter(images)
        while batch := list(islice(waiting, BATCH)):
            yield from self._predict(batch, top)

    def _predict(self, batch: Sequence[Picture], top: int) -> list[Prediction]:
        found = [self._load(picture) for picture in batch]
        ready = [one for one in found if isinstance(one, Image.Image)]
        answers = iter(self._guesses(ready, top)) if ready else iter(())
        names = [str(picture) if isinstance(picture, str | Path) else "" for picture in batch]
        return [
            Prediction(name, error=one) if isinstance(one, str) else Prediction(name, next(answers))
            for name, one in zip(names, found, strict=True)
        ]

    def _load(self, picture: Picture) -> Image.Image | str:
        """The image as the network gets it, or why it cannot be read."""
        try:
            if isinstance(picture, str | Path):
                return self.prepare(load_rgb(str(picture)))
            return self.prepare(picture if isinstance(picture, Image.Image) else Image.fromarray(picture))
        except RunFailed as error:
            return str(error).replace("; repair it or remove it from dataset.dir", "")
        except (OSError, ValueError, TypeError) as error:
            return f"an image cannot be used ({error})"

    def _guesses(self, images: Sequence[Image.Image], top: int) -> list[tuple[Guess, ...]]:
        pixels, _ = collate([(image, 0) for image in images])
        values, numbers = self.probabilities(pixels).sort(dim=1, descending=True, stable=True)
        return [
            tuple(Guess(self.description.class_name(number), value) for value, number in zip(row, order, strict=True))
            for row, order in zip(values[:, :top].tolist(), numbers[:, :top].tolist(), strict=True)
        ]
