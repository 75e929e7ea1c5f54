"""A Weights & Biases run in a thread of its own: nothing that W&B does, or waits for, holds up who logs to it.

The client (wandb 0.31) answers at once while a run goes on, whatever its server does; but it starts a run only after
the server has answered, and ends one only after all is uploaded. Importing it takes seconds.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet_exp.core.text import one_line

# Of a logger that names no other wait, at the start and at the end.
PATIENCE_SECONDS = 30.0
Action = Callable[[Any], None]
# By this variable the client finds a process of its own that is there already.
SERVICE = "WANDB_SERVICE"
# Of a file of the client that has no record yet: its header alone.
EMPTY_BYTES = 7
# A client that gets no answer was seen to give up after two to three times the wait that it is given.
INIT_TRIES = 4


class BackgroundRun:
    """One W&B run, started at once, recorded offline where nobody is logged in or W&B cannot be reached.

    Whatever fails is said once, and nothing is raised.
    """

    def __init__(
        self,
        folder: Path,
        say: Action,
        init_seconds: float,
        finish_seconds: float,
        quiet: bool = False,
        **settings: Any,
    ) -> None:
        """Start it.

        Args:
            folder: where ``wandb/``, the client's own files, goes; made if needed.
            say: prints a line to the user.
            init_seconds: longest wait for a server that is asked whether it knows the run.
            finish_seconds: longest wait at the end for what is not uploaded yet.
            quiet: the client prints nothing, and leaves what others print alone; else it prints to standard error,
                and W&B gets what this process prints.
            settings: those of ``wandb.init``.
        """
        self._folder, self._say, self._settings = folder, say, settings
        self._init_seconds, self._finish_seconds = init_seconds, finish_seconds
        self._console = {"console": "off", "silent": True} if quiet else {"console": "wrap"}
        self._exit_code = 0
        self._actions: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._lost = False
        self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
        self._thread.start()

    def do(self, action: Action) -> None:
        """Have `action` called with the ``wandb.Run``, after those before it."""
        if not self._lost:
            self._actions.put(action)

    def finish(self, exit_code: int = 0) -> None:
        """Upload what is left, and return when that is done or the time for it is over."""
        self._exit_code = exit_code
        self._actions.put(None)
        # A start that is still waiting for its server ends first; its client asks more than once.
        self._thread.join(INIT_TRIES * self._init_seconds + self._finish_seconds)
        if self._thread.is_alive():
            self._say(
                f"W&B does not end; to upload what is there: wandb sync --include-online {self._folder}/wandb/*run-*"
            )

    def _work(self) -> None:
        run = None
        try:
            self._folder.mkdir(exist_ok=True)
            _remove_empty(self._folder)
            run = self._open()
            while (action := self._actions.get()) is not None:
                action(run)
            run.finish(self._exit_code)
        except TimeoutError:
            self._say(
                f"W&B has not taken everything; to upload the rest: wandb sync --include-online {_folder_of(run)}"
            )
        except Exception as error:
            # Its client raises errors of many kinds; none of them is the run's.
            self._lost = True
            self._say(f"W&B gets nothing more of this run ({_reason(error)})")

    def _open(self) -> Any:
        import wandb

        try:
            return self._init(wandb, os.environ.get("WANDB_MODE"))
        except Exception as error:
            reason = _reason(error)
        # What is left of the first try would say that the run is in use.
        wandb.teardown()
        run = self._init(wandb, "offline")
        self._say(f"W&B is recorded offline ({reason}); to upload it: wandb sync {_folder_of(run)}")
        return run

    def _init(self, wandb: Any, mode: str | None) -> Any:
        _start_client(wandb, wandb.Settings(**self._console))
        settings = wandb.Settings(
            **self._console,
            init_timeout=self._init_seconds,
            login_timeout=self._init_seconds,
            finish_timeout=self._finish_seconds,
            finish_timeout_raises=True,
            # What a killed run has logged stays, but for its last second.
            x_transaction_log_flush_interval=1.0,
        )
        return wandb.init(dir=self._folder, mode=mode, resume="allow", settings=settings, **self._settings)


def _start_client(wandb: Any, settings: Any) -> None:
    """Start the client's own process for this one alone, not for those that this one starts, such as runs."""
    shared = os.environ.get(SERVICE)
    wandb.setup(settings)
    if shared is None:
        os.environ.pop(SERVICE, None)


def _remove_empty(folder: Path) -> None:
    """Remove what a try left that was killed before anything was written: ``wandb sync`` would stop at it."""
    for path in folder.glob("wandb/*run-*/run-*.wandb"):
        if path.stat().st_size <= EMPTY_BYTES:
            shutil.rmtree(path.parent)


def _folder_of(run: Any) -> str:
    """The folder of a ``wandb.Run``, as ``wandb sync`` wants it."""
    return os.path.relpath(run.settings.sync_dir)


def _reason(error: Exception) -> str:
    return one_line(error)[:200].rstrip(".") or type(error).__name__
