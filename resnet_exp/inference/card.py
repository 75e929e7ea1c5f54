"""The model card: a README.md in the shape of https://huggingface.co/docs/hub/model-cards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from resnet_exp.config.initial_weights import EXPORTED
from resnet_exp.core.terminal.text import byte_size, dollars, plural, printable, span
from resnet_exp.inference.models import Model
from resnet_exp.reporting.curves import collect_curve, draw_curves, save
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Result, read_result
from resnet_exp.training.weight_files import Weights

__all__ = ["write"]
CURVE = "curve.png"
# Networks of torchvision by the blocks of their stages.
NAMED: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}


def write(model: Model, folder: Path, top1: Mapping[str, float], images: int) -> None:
    """Write ``README.md`` beside the files of a network, and the curve of its run.

    Args:
        model: what was written.
        folder: where it is.
        top1: of each format that was checked, a fraction.
        images: that it was checked on.
    """
    described, run = model.description, None if model.run is None else model.run.folder
    result = None if run is None else read_result(run)
    parts = [
        f"---\n{yaml.safe_dump(_facts(model, result), sort_keys=False, allow_unicode=True)}---",
        f"# {printable(described.name)}",
        _first_lines(model, result),
    ]
    if result is not None:
        parts.append(_table(result))
    if run is not None and _draw(run, folder):
        parts.append(f"![Top-1 of each evaluation against training time]({CURVE})")
    parts += ["## Load it", *_ways(model, model.make().state_dict()), "## Files", _files(folder, top1, images)]
    if result is not None and result.command:
        parts += ["## Train it again", f"```console\n{result.command}\n```"]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


def _facts(model: Model, result: Result | None) -> dict[str, object]:
    """The block that model hubs read."""
    facts: dict[str, object] = {
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "resnet", "resnet_exp"],
    }
    if result is None:
        return facts
    data = {"name": result.data_set or result.dataset, "type": result.dataset}
    metrics = [
        {"type": "accuracy", "name": name, "value": round(100 * value, 2)}
        for name, value in (("top-1 (%)", result.top1), ("top-5 (%)", result.top5))
    ]
    entry = {"task": {"type": "image-classification"}, "dataset": data, "metrics": metrics}
    return {**facts, "metrics": ["accuracy"], "model-index": [{"name": model.description.name, "results": [entry]}]}


def _first_lines(model: Model, result: Result | None) -> str:
    described = model.description
    of = f" of {printable(described.data_set)}" if described.data_set else ""
    count = len(described.classes)
    classes = f"{count:,} classes{of}" if count else "an unknown number of classes"
    lines = [
        f"A ResNet that tells {classes} apart. Images are resized to {described.resize} px (short side, bilinear), and "
        f"the {described.crop} px in their center are used."
    ]
    if result is not None:
        lines.append(
            f"Trained with recipe={result.recipe_text} for {plural(result.epochs, 'epoch')}: "
            f"{', '.join(result.algorithms) or 'no methods'}."
        )
    return "\n".join(lines)


def _table(result: Result) -> str:
    hardware, cost = result.hardware, result.cost_usd
    rows = [
        ("top-1", f"{result.top1:.2%} of {result.val_images:,} images"),
        ("top-5", f"{result.top5:.2%}"),
        ("training", f"{span(result.timing.train_seconds)} on {hardware.name}, {hardware.precision}"),
        *([("cost", dollars(cost))] if cost is not None else []),
        ("model", result.model),
        ("seed", str(result.seed)),
        ("code", f"{', '.join(result.commits) or 'unknown commit'}{' with changes' * result.dirty}"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {printable(value)} |" for name, value in rows)])


def _draw(run: RunFolder, folder: Path) -> bool:
    if not run.metrics.exists():
        return False
    save(draw_curves([collect_curve(run)]), folder / CURVE, f"-o {folder}")
    return True


def _ways(model: Model, weights: Weights) -> list[str]:
    """How to load the network, as code that runs in this folder."""
    ways = [
        "With resnet_exp:",
        _code(
            "from resnet_exp.api import load_model",
            'model = load_model(".")',
            'print(list(model.predict(["photo.jpg"])))',
        ),
    ]
    changed = sorted({name.rpartition(".")[2] for name in weights} & {"blur_filter", "filt2d", "residual_scale"})
    if changed:
        ways.append(
            "With torch and torchvision alone. The recipe changes modules, so torchvision's own ResNet refuses these "
            "weights; `model.py` has the modules:"
        )
        ways.append(_code("from model import load", f'network = load("{EXPORTED}")'))
    else:
        ways.append("With torchvision, whose ResNet this is:")
        ways.append(_code(
            "import safetensors.torch, torchvision", f"network = {_constructor(weights)}",
            f'network.load_state_dict(safetensors.torch.load_file("{EXPORTED}"))',
        ))  # fmt: skip
    mean, std = (
        ", ".join(f"{value:g}" for value in values) for values in (model.description.mean, model.description.std)
    )
    ways.append(
        f"A network takes pixels from 0 to 255 of which ({mean}) was subtracted, divided by ({std}). `model.onnx` and "
        "`model.pt2` do that themselves: they take RGB images as uint8 of shape NCHW, and give logits."
    )
    return ways


def _code(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])


def _constructor(weights: Weights) -> str:
    """The call of torchvision that makes the network."""
    block = "bottleneck" if "layer1.0.conv3.weight" in weights else "basic"
    layers = tuple(len({name.split(".")[1] for name in weights if name.startswith(f"layer{n}.")}) for n in range(1, 5))
    classes = len(weights["fc.bias"])
    width, in_group = weights["layer1.0.conv2.weight"].shape[:2]
    groups = width // in_group
    others = "" if (groups, width) == (1, 64) else f", groups={groups}, width_per_group={width // groups}"
    if (named := NAMED.get((block, layers))) is not None:
        return f"torchvision.models.{named}(num_classes={classes}{others})"
    where = "torchvision.models.resnet"
    kind = "Bottleneck" if block == "bottleneck" else "BasicBlock"
    return f"{where}.ResNet({where}.{kind}, {list(layers)}, num_classes={classes}{others})"


def _files(folder: Path, top1: Mapping[str, float], images: int) -> str:
    rows = [
        (path.name, byte_size(path.stat().st_size), f"{top1[kind]:.2%}" if (kind := _kind(path)) in top1 else "")
        for path in sorted(folder.iterdir())
        if path.name != "README.md"
    ]
    checked = f"top-1 of {images:,} images, from the file as it is" if images else "top-1: not checked"
    lines = [f"| file | size | {checked} |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {size} | {value} |" for name, size, value in rows)])


def _kind(path: Path) -> str:
    return path.suffix.removeprefix(".") if path.stem == "model" else ""
