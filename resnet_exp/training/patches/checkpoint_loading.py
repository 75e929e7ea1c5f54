"""Checkpoints hold data, never code: what Composer may load from one, and what its parts may save in one.

Composer 0.32.1 unpickles a checkpoint as it is, and so runs whatever the file names. Its main branch loads with
``weights_only=True`` since April 2026 (mosaicml/composer#3937); no release does. Both evaluate the texts by which a
checkpoint describes algorithms that change the model: `DESCRIBED` leaves none to evaluate.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import composer.algorithms
import torch
from composer.core import Algorithm, Callback
from composer.utils import checkpoint
from torch.serialization import add_safe_globals, get_unsafe_globals_in_checkpoint

from resnet_exp.core.errors import RequestError
from resnet_exp.training.weight_files import HARMLESS, load_data

# For `load_exclude_algorithms`: a run has its algorithms from its configuration.
DESCRIBED = dir(composer.algorithms)
FIX = "if it is a class of yours, allow it in its module: torch.serialization.add_safe_globals([{}])"


def restrict() -> None:
    """Have Composer load no checkpoint but by `load`."""
    add_safe_globals(HARMLESS)
    checkpoint._torch_load_with_validation = load


def load(checkpoint_filepath: str | Path, map_location: str) -> Any:
    """Load a file of tensors, numbers, texts and what is in `HARMLESS`.

    Raises:
        RequestError: it names something else, of which nothing was run, or is damaged.
    """
    path = Path(checkpoint_filepath).resolve()  # Composer loads through a link in a temporary folder
    try:
        return load_data(path, map_location)
    except (pickle.UnpicklingError, ValueError) as error:
        start_over = f"remove {path.parent} to train from the beginning"
        if names := _forbidden(path):
            fix = FIX.format(names[0].rpartition(".")[2])
            raise RequestError(
                f"checkpoint {path} names {', '.join(names)}, which a checkpoint must not hold; nothing of it was "
                f"run; {start_over}, or {fix}"
            ) from error
        raise RequestError(f"checkpoint {path} is damaged; {start_over}") from error


def check_states(parts: Iterable[Algorithm | Callback]) -> None:
    """Check what the parts of a run will save, before it trains.

    Raises:
        RequestError: a checkpoint with it could not be loaded.
    """
    for part in parts:
        file = io.BytesIO()
        torch.save(part.state_dict(), file)
        file.seek(0)
        if names := _forbidden(file):
            raise RequestError(
                f"{type(part).__module__}.{type(part).__name__}.state_dict() holds {', '.join(names)}, which a "
                f"checkpoint must not hold; return numbers, texts, lists and tensors, or "
                f"{FIX.format(names[0].rpartition('.')[2])}"
            )


def _forbidden(file: Path | io.BytesIO) -> list[str]:
    """The names in a checkpoint that are not allowed; empty if it is damaged."""
    try:
        return sorted(get_unsafe_globals_in_checkpoint(file))
    except Exception:
        return []
