"""Write a trained network for other programs: safetensors, ONNX, ``torch.export``, each checked, with a model card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_exp.config.initial_weights import EXPORTED
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.files import no_empty_folders, writing
from resnet_exp.core.terminal import console
from resnet_exp.inference import card, plain
from resnet_exp.inference.data import READ, evaluation_config
from resnet_exp.inference.description import Description
from resnet_exp.inference.models import Model
from resnet_exp.launch.prepare import prepare_data
from resnet_exp.training.loaders import build_loader

SAFETENSORS, ONNX, TORCH = "safetensors", "onnx", "pt2"
FORMATS = (SAFETENSORS, ONNX, TORCH)
INPUT, OUTPUT = "images", "logits"
MOST_IMAGES = 4096
# Programs add in another order: the answer changes where two classes are as probable as each other.
MOST_CHANGED = 0.001
NEEDS = "it needs the package {}; pip install 'resnet_exp[export]'"
Answer = Callable[[Tensor], Tensor]


class Pixels(nn.Module):
    """A network behind its normalization: for programs that do not know its mean and deviation."""

    def __init__(self, network: nn.Module, description: Description) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(description.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(description.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """RGB images, uint8, shape NCHW, to logits of shape NC."""
        return self.network((images.float() - self.mean) / self.std)


@dataclass(frozen=True)
class Checked:
    """What a file answers on the evaluation images: how many, top-1, and answers that differ from the network's."""

    images: int
    top1: float
    changed: int


def export_model(
    model: Model, folder: Path, formats: Sequence[str] = FORMATS, check: bool = True, words: Sequence[str] = ()
) -> dict[str, Checked]:
    """Write a folder with the network, its code, its card.

    Args:
        model: from `resnet_exp.inference.models.open_model`, of a run or a file.
        folder: written whole or not at all; an earlier export is replaced.
        formats: some of `FORMATS`.
        check: evaluate each file on the images of the run, or those of `words`.
        words: as of `resnet_exp.inference.data.evaluation_config`.

    Returns:
        By format, what its file answers; empty if nothing was checked.

    Raises:
        RequestError: the model cannot be exported, or the folder not be written.
        RunFailed: a file gives other answers than the network.
    """
    if model.weights is None:
        raise RequestError(
            f"{model.description.name} is not a run: name a run folder, a checkpoint or a file of weights"
        )
    if folder.exists() and not (folder / EXPORTED).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"-o {folder} exists and is not an earlier export; give another folder")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    with no_empty_folders(folder), writing(f"-o {folder}", "give another folder"):
        try:
            temporary.mkdir(parents=True)
            found = _write(model, temporary, formats, check, words)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return found


def _write(model: Model, folder: Path, formats: Sequence[str], check: bool, words: Sequence[str]) -> dict[str, Checked]:
    described, network = model.description, model.make()
    weights = network.state_dict()
    pixels = Pixels(network, described).eval()
    writers: Mapping[str, Callable[[], Answer]] = {
        SAFETENSORS: lambda: _safetensors(weights, described, folder / EXPORTED),
        ONNX: lambda: _onnx(pixels, described, folder / "model.onnx"),
        TORCH: lambda: _torch(pixels, described, folder / "model.pt2"),
    }
    answers = {name: writers[name]() for name in FORMATS if name in {SAFETENSORS, *formats}}
    shutil.copyfile(plain.__file__, folder / "model.py")
    (folder / "config.json").write_text(json.dumps(asdict(described), indent=1) + "\n")
    found = _checked(model, pixels, answers, words) if check else {}
    card.write(model, folder, {name: one.top1 for name, one in found.items()}, _images(found))
    return found


def _images(found: Mapping[str, Checked]) -> int:
    return max((one.images for one in found.values()), default=0)


def _safetensors(weights: Mapping[str, Tensor], described: Description, path: Path) -> Answer:
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise RequestError(NEEDS.format("safetensors")) from None
    metadata = {"format": "pt", plain.METADATA: json.dumps(asdict(described))}
    save_file({name: value.contiguous() for name, value in weights.items()}, path, metadata)
    return Pixels(plain.load(path), described).eval()


def _torch(pixels: Pixels, described: Description, path: Path) -> Answer:
    program = torch.export.export(pixels, (_example(described),), dynamic_shapes=_shapes())
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _onnx(pixels: Pixels, described: Description, path: Path) -> Answer:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # the exporter's own
    except ImportError as error:
        raise RequestError(f"{NEEDS.format(error.name)}, or leave out --formats {ONNX}") from None
    torch.onnx.export(
        pixels, (_example(described),), path, dynamo=True, dynamic_shapes=_shapes(), external_data=False,
        input_names=[INPUT], output_names=[OUTPUT], verbose=False,
    )  # fmt: skip
    written: Any = onnx.load(path)
    onnx.helper.set_model_props(written, {plain.METADATA: json.dumps(asdict(described))})
    onnx.checker.check_model(written)
    onnx.save(written, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _example(described: Description) -> Tensor:
    return torch.zeros(2, 3, described.crop, described.crop, dtype=torch.uint8)


def _shapes() -> tuple[dict[int, object]]:
    return ({0: torch.export.Dim("batch", min=1, max=MOST_IMAGES)},)


@torch.inference_mode()
def _checked(model: Model, pixels: Pixels, answers: Mapping[str, Answer], words: Sequence[str]) -> dict[str, Checked]:
    """What each file answers on the evaluation images."""
    config = evaluation_config(model, words)
    prepare_data(config, splits=READ)
    loader = build_loader(config, train=False)
    right, changed, total = dict.fromkeys(answers, 0), dict.fromkeys(answers, 0), 0
    for number, (images, labels) in enumerate(loader, start=1):
        images, labels = images.cpu().contiguous(), labels.cpu()
        expected = pixels(images).argmax(1)
        total += len(labels)
        for name, answer in answers.items():
            found = answer(images).argmax(1)
            right[name] += int((found == labels).sum())
            changed[name] += int((found != expected).sum())
        console.status(f"checked {number} of {len(loader)} batches")
    console.status("")
    for name, count in changed.items():
        if count > max(1, MOST_CHANGED * total):
            raise RunFailed(f"{name}: {count} of {total} answers are others than the network's; nothing was written")
    return {name: Checked(total, right[name] / total, changed[name]) for name in answers}
