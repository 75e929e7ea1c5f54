"""A callback that writes down which modules a rank has loaded when training ends."""

from __future__ import annotations

import sys
from pathlib import Path

from composer.core import Callback, State
from composer.loggers import Logger


class LoadedModules(Callback):
    """One name a line, in the file `path`."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def fit_end(self, state: State, logger: Logger) -> None:
        self.path.write_text("\n".join(sys.modules))
