"""What one must know to use a network: classes, normalization, image sizes. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.records import Count, Fraction, Text, Texts
from resnet_exp.launch.dataset import read_data_set
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result

# Of ImageNet's training pixels, 0 to 255, and the usual sizes: for weights that say nothing of it.
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
IMAGENET_RESIZE, IMAGENET_CROP = 256, 224


@dataclass(frozen=True)
class Description:
    """What belongs to the weights of a classifier.

    Attributes:
        name: a run id, or what the user called it.
        classes: names in the order of the outputs; empty if they are not known.
        mean: of red, green and blue, 0 to 255; subtracted from the pixels.
        std: standard deviations of them; what is left is divided by these.
        resize: short side in pixels that images are resized to.
        crop: side of the square in their middle, in pixels, that the network gets.
        recipe: with which it was trained.
        data_set: on which.
        top1: of the run's last evaluation, a fraction.
        blur_first: whether its BlurPool blurs before the convolutions.
    """

    name: Text
    classes: Texts = ()
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: Count = IMAGENET_RESIZE
    crop: Count = IMAGENET_CROP
    recipe: Text | None = None
    data_set: Text | None = None
    top1: Fraction | None = None
    blur_first: bool = True

    def class_name(self, number: int) -> str:
        """The name of a class; its number if it has none."""
        return self.classes[number] if number < len(self.classes) else str(number)


def describe_run(run: RunFolder, config: RunConfig) -> Description:
    """The description of the network that a run has trained, or trains.

    Raises:
        RequestError: a file of the run is damaged.
    """
    data_set, result = read_data_set(run), read_result(run)
    dataset, sizes = config.dataset, config.resolution
    return Description(
        name=config.run_id or run.path.name,
        classes=() if data_set is None else tuple(data_set.classes),
        mean=tuple(dataset.mean),
        std=tuple(dataset.std),
        resize=sizes.eval_resize,
        crop=sizes.eval_crop,
        recipe=config.recipe,
        data_set=dataset.name if data_set is None else data_set.name,
        top1=None if result is None else result.top1,
        blur_first=config.algorithms.get("blurpool", {}).get("blur_first", True),
    )
