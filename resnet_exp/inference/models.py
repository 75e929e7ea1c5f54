"""From what a user calls a model, ``RUN|CHECKPOINT|torchvision:NAME|timm:NAME|FILE``, to its network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from resnet_exp.config.checks.algorithm_values import known_class
from resnet_exp.config.initial_weights import EXPORTED
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.records import from_json
from resnet_exp.inference import plain, zoo
from resnet_exp.inference.description import Description, describe_run
from resnet_exp.launch.config_file import read_config
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.weight_files import SAFETENSORS, Weights, read_weights

# The last convolution of a bottleneck block, which no algorithm replaces.
BLOCK = re.compile(r"(layer(\d+)\.(\d+))\.conv3\.weight")


@dataclass(frozen=True)
class Model:
    """A trained network.

    Attributes:
        description: its classes, and what its images look like.
        make: makes the network, in plain torch.
        run: of a run of ours, its configuration.
        weights: of a run, a checkpoint or a file.
    """

    description: Description
    make: Callable[[], nn.Module]
    run: RunConfig | None = None
    weights: Weights | None = None


def open_model(text: str) -> Model:
    """The model that a user names.

    Args:
        text: a run folder, a checkpoint in one, ``torchvision:NAME``, ``timm:NAME``, a file of weights, or
            a folder that `resnet_exp.export` has written.

    Raises:
        RequestError: there is none, or it is of no use.
    """
    if zoo.is_named(text):
        description, make = zoo.find(text)
        return Model(description, make)
    path = user_path(text)
    if path.is_dir() and (path / EXPORTED).is_file():
        return _of_file(path / EXPORTED)
    if path.is_dir():
        return _of_run(RunFolder(path.absolute()))
    if not path.exists():
        run = RunFolder(path.absolute().parent.parent)
        if path.absolute().parent == run.checkpoints and run.weights.exists():
            raise RequestError(
                f"{text}: a finished run keeps its weights alone; name {run.path}, or train with keep_checkpoints=true"
            )
        raise RequestError(
            f"{text}: there is no such run or file; give a run folder, a file of weights or torchvision:NAME"
        )
    run = next((folder for folder in map(RunFolder, path.absolute().parents[:2]) if folder.config.is_file()), None)
    return _of_file(path) if run is None else _of_run(run, path)


def _of_run(run: RunFolder, path: Path | None = None) -> Model:
    # A folder may have been moved or copied since.
    config = replace(read_config(run), runs_dir=str(run.path.parent), run_id=run.path.name)
    if path is None and not run.weights.exists():
        way = f"name {run.latest_checkpoint}" if run.latest_checkpoint.exists() else "train it to its end"
        raise RequestError(f"{run.path} is not finished and has no {run.weights.name}; {way}")
    weights = read_weights(path or run.weights, str(run.path))
    description = describe_run(run, config)
    if path is not None and path.resolve() != run.weights.resolve():
        description = replace(description, top1=None)  # which is that of the end
    scaled = with_scales(weights, config)
    return Model(description, lambda: _network(scaled, description), config, weights)


def _of_file(path: Path) -> Model:
    weights = read_weights(path, str(path))
    description = _metadata(path) if path.suffix == SAFETENSORS else None
    described = description or Description(path.name)
    return Model(described, lambda: _network(weights, described), weights=weights)


def _metadata(path: Path) -> Description | None:
    """The description in a file that `resnet_exp.export` has written."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(plain.METADATA)
    try:
        return None if text is None else from_json(Description, json.loads(text))
    except ValueError as error:
        raise RequestError(f"{path}: its metadata is damaged ({error}); export the run again") from error


def _network(weights: Weights, description: Description) -> nn.Module:
    try:
        return plain.network_of(weights, description.blur_first)
    except (ValueError, RuntimeError) as error:
        raise RequestError(f"{description.name}: {error}; only ResNets can be used") from error


def with_scales(weights: Weights, config: RunConfig) -> Weights:
    """Weights of a run with those of `plain.ScaledBottleneck`, where it was trained with stochastic depth.

    As ``composer.algorithms.StochasticDepth`` of Composer 0.32.1 computes them, in single precision.
    """
    entry = next((each for each in config.algorithms.values() if known_class(each) == "StochasticDepth"), None)
    blocks = [] if entry is None else _blocks(weights)
    scaled = dict(weights)
    for number, name in enumerate(blocks, start=1):
        assert entry is not None
        share = number / len(blocks) if entry.get("drop_distribution", "linear") == "linear" else 1
        scaled[f"{name}.residual_scale"] = 1 - torch.tensor(share * entry.get("drop_rate", 0.2))
    return scaled


def _blocks(weights: Weights) -> list[str]:
    """Names of the bottleneck blocks, from the first to the last."""
    found = [match for name in weights if (match := BLOCK.fullmatch(name))]
    return [match[1] for match in sorted(found, key=lambda match: (int(match[2]), int(match[3])))]
