"""Weights in files: ``weights.pt`` of a run, safetensors, checkpoints of ours, and state dicts of other programs.

Files are data: nothing that they name is run (``weights_only``, https://pytorch.org/docs/stable/notes/serialization.html).
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor
from torch.torch_version import TorchVersion

from resnet_exp.core.errors import RequestError
from resnet_exp.core.records import is_object

Weights = dict[str, Tensor]
SAFETENSORS = ".safetensors"
# Prefixes that ComposerClassifier, DistributedDataParallel and torch.compile put before the names of weights.
PREFIXES = ("module.", "_orig_mod.")
# Under these keys other programs keep the weights in a larger file.
NESTED = ("state_dict", "model")
# What Composer's checkpoints hold beside tensors: clocks and facts, NumPy's random state, numbers of callbacks.
HARMLESS: list[Any] = [
    timedelta, TorchVersion, np.ndarray, np.dtype, multiarray._reconstruct, multiarray.scalar,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]  # fmt: skip


def read_weights(path: Path, named: str) -> Weights:
    """The weights in a file, on the CPU, without the prefixes of wrappers; EMA's average where a checkpoint has one.

    Args:
        path: ``.safetensors``, or what ``torch.save`` has written.
        named: what the user gave, for messages: ``init_from=PATH``.

    Raises:
        RequestError: it cannot be read, or holds no weights.
    """
    try:
        found = _safetensors(path, named) if path.suffix == SAFETENSORS else _pickled(path)
    except OSError as error:
        raise RequestError(f"{named}: {path} cannot be read ({error.strerror or error}); give another file") from error
    except (pickle.UnpicklingError, ValueError) as error:
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            why = "holds more than weights, which is not run"
        else:
            why = "is damaged or holds no weights"
        raise RequestError(f"{named}: {path} {why}; give a file such as weights.pt of a run") from error
    weights = {unwrapped(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not weights:
        raise RequestError(f"{named}: {path} holds no weights; give a file such as weights.pt of a run")
    return weights


def unwrapped(name: str) -> str:
    """Name of a weight without the prefixes of wrappers."""
    while name.startswith(PREFIXES):
        name = name.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])
    return name


def _safetensors(path: Path, named: str) -> Mapping[str, object]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise RequestError(
            f"{named}: reading {SAFETENSORS} needs the package safetensors; pip install 'resnet_exp[export]'"
        ) from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(error) from error


def load_data(path: Path, map_location: str) -> Any:
    """What ``torch.save`` has written, if it is tensors, numbers, texts and what torch has been told to allow.

    Raises:
        OSError: the file cannot be read.
        pickle.UnpicklingError: it names something else, of which nothing was run, or is damaged.
        ValueError: it is damaged.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (OSError, pickle.UnpicklingError):
        raise
    except Exception as error:
        # torch's reader carries out any bytes as a pickle's instructions, and raises whatever comes of that.
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _pickled(path: Path) -> Mapping[str, object]:
    with torch.serialization.safe_globals(HARMLESS):
        found = load_data(path, "cpu")
    if not is_object(found):
        raise ValueError(f"a {type(found).__name__}")
    state = found.get("state")
    if is_object(state) and is_object(state.get("model")):
        return _of_checkpoint(state)
    return next((cast(Mapping[str, object], found[key]) for key in NESTED if is_object(found.get(key))), found)


def _of_checkpoint(state: Mapping[str, Any]) -> Mapping[str, object]:
    """The weights of a checkpoint of Composer that an evaluation at that time would have used."""
    weights = dict(state["model"])
    for _, algorithm in state.get("algorithms", ()):
        if algorithm.get("ema_started") and not algorithm.get("ema_weights_active"):
            weights |= algorithm["ema_model"]["named_parameters_dict"] | algorithm["ema_model"]["named_buffers_dict"]
    # The loss and the metrics of a ComposerClassifier may have state as well.
    return {name: value for name, value in weights.items() if name.startswith(PREFIXES[0])}
