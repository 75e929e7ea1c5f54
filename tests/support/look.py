"""A callback that notes how torch is set in a rank."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from composer.core import Callback, State
from composer.loggers import Logger


class Look(Callback):
    """Write what is set to a file, at the start of training; of the environment, what was there before the trainer."""

    def __init__(self, file: str) -> None:
        self.file, self.environ = Path(file), dict(os.environ)

    def fit_start(self, state: State, logger: Logger) -> None:
        """Write it."""
        found = {
            "cublas": self.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            "order": self.environ.get("CUDA_DEVICE_ORDER"),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cudnn": torch.backends.cudnn.deterministic,
        }
        self.file.write_text(json.dumps(found))
