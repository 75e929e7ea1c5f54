"""A callback that counts what each batch asks of the other ranks, DistributedDataParallel's gradients included."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_exp.training.step import exchange


class Collectives(Callback):
    """Write ``collectives.json`` beside the run: the names of each batch's operations, on rank 0."""

    def __init__(self, path: str) -> None:
        self._path, self._batches = Path(path), []
        self._mode = _Mode()
        # However slow this machine is.
        exchange.MOST_SECONDS = 1e9

    def fit_start(self, state: State, logger: Logger) -> None:
        self._mode.__enter__()

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        self._batches.append(dict(self._mode.seen))
        self._mode.seen.clear()

    def epoch_end(self, state: State, logger: Logger) -> None:
        if dist.get_global_rank() == 0:
            self._path.write_text(json.dumps(self._batches))

    def fit_end(self, state: State, logger: Logger) -> None:
        self._mode.__exit__(None, None, None)


class _Mode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.startswith("c10d::"):
            self.seen[func._schema.name.removeprefix("c10d::")] += 1
        return func(*args, **(kwargs or {}))
