"""What the commands do, for Python: in a notebook, or in a program of your own.

Torch is imported by the functions that need it, when they are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet_exp.inference.classifier import Classifier, Picture, Prediction
    from resnet_exp.inference.evaluation import Evaluated
    from resnet_exp.inference.exporting import Checked

__all__ = ["evaluate", "export", "load_model", "predict"]


def load_model(model: str | Path, device: str | None = None) -> Classifier:
    """Load a trained classifier.

    Args:
        model: a run folder, a checkpoint in one, a folder or a file that ``resnet_exp export`` has written, another
            file of weights of a ResNet, ``torchvision:NAME`` or ``timm:NAME``.
        device: such as ``cuda:1``; by default the first GPU, else the CPU.

    Returns:
        An object with `predict`, `probabilities`, `network` (a ``torch.nn.Module``) and `description`.

    Raises:
        RequestError: there is no such model.
    """
    import torch

    from resnet_exp.inference.classifier import Classifier
    from resnet_exp.inference.models import open_model

    opened = open_model(str(model))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Classifier(opened.make(), opened.description, place)


def predict(model: str | Path | Classifier, images: Iterable[Picture], top: int = 5) -> list[Prediction]:
    """Classify images.

    Args:
        model: as of `load_model`, or what it has returned.
        images: paths, Pillow images, or RGB arrays of shape HWC, 0 to 255.
        top: number of classes in each answer.

    Returns:
        One prediction for each image, in order. One that cannot be read has an ``error``.

    Raises:
        RequestError: there is no such model.
    """
    classifier = load_model(model) if isinstance(model, str | Path) else model
    return list(classifier.predict(images, top))


def evaluate(model: str | Path, *words: str, crops: Sequence[int] = ()) -> Evaluated:
    """Evaluate a model: accuracy, accuracy of each class, calibration, accuracy at other image sizes.

    With no words, on the images of its run, and with the same numbers as the run's last evaluation.

    Args:
        model: as of `load_model`.
        words: as on the command line: ``dataset=imagenet``, ``dataset.dir=PATH``, ``data=ffcv``, ``hardware=cpu``.
        crops: sides in pixels to evaluate at as well.

    Raises:
        RequestError: the model or the images are of no use.
        RunFailed: an image cannot be read.
    """
    from resnet_exp.inference.evaluation import evaluate_model
    from resnet_exp.inference.models import open_model

    return evaluate_model(open_model(str(model)), words, crops)


def export(
    model: str | Path,
    folder: str | Path,
    *words: str,
    formats: Sequence[str] = ("safetensors", "onnx", "pt2"),
    check: bool = True,
) -> dict[str, Checked]:
    """Write a trained model for other programs, with a model card.

    Args:
        model: a run folder, a checkpoint in one, or a file of weights.
        folder: written whole or not at all; an earlier export is replaced.
        words: the images that the files are checked on, as of `evaluate`.
        formats: ``safetensors`` is always written.
        check: evaluate each file after it was written.

    Returns:
        By format: images, top-1, and the answers that differ from the network's.

    Raises:
        RequestError: the model cannot be exported, or the folder not be written.
        RunFailed: a file gives other answers than the network.
    """
    from resnet_exp.inference.exporting import export_model
    from resnet_exp.inference.models import open_model

    return export_model(open_model(str(model)), Path(folder).absolute(), formats, check, words)
