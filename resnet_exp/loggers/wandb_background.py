"""A Weights & Biases run in its own thread: logging never waits for W&B.

During a run, the client (wandb 0.31) returns at once, whatever its server does. But it starts a run only after
the server has answered, and ends one only after everything is uploaded. Importing it takes seconds.
"""

from __future__ import annotations

import os
import queue
import shlex
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet_exp.core.terminal.text import one_line

# Default timeouts of a logger, at the start and at the end.
PATIENCE_SECONDS = 30.0
Action = Callable[[Any], None]
# Through this variable the client finds its own service process if one is already running.
SERVICE = "WANDB_SERVICE"
# Size of a client's file that has no record yet, only its header.
EMPTY_BYTES = 7
# A client without an answer was observed to give up after two to three times its timeout.
INIT_TRIES = 4
# W&B's words for an id whose run was deleted on its site; it never takes such an id again.
DELETED = "previously created and deleted"
MOST_IDS = 10


class BackgroundRun:
    """One W&B run, started immediately; recorded offline without a login or if W&B cannot be reached.

    Errors are reported once and never raised.
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
            folder: where the client puts its own files, in ``wandb/``; created if needed.
            say: prints a line to the user.
            init_seconds: timeout of the request whether the server knows the run.
            finish_seconds: timeout of the remaining uploads at the end.
            quiet: the client prints nothing and captures no output; otherwise it prints to standard error,
                and W&B gets the output of this process.
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
        """Queue `action`, to be called with the ``wandb.Run``."""
        if not self._lost:
            self._actions.put(action)

    def finish(self, exit_code: int = 0) -> None:
        """Upload what is left; return when that is done or has timed out."""
        self._exit_code = exit_code
        self._actions.put(None)
        # A start that still waits for its server must end first; the client asks more than once.
        self._thread.join(INIT_TRIES * self._init_seconds + self._finish_seconds)
        if self._thread.is_alive():
            what = f"{shlex.quote(str(self._folder))}/wandb/*run-*"
            self._say(f"W&B does not end; to upload what is there: wandb sync --include-online {what}")

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
            # The client raises many kinds of errors; none of them may end the run.
            self._lost = True
            self._say(f"W&B gets nothing more of this run ({_reason(error)})")

    def _open(self) -> Any:
        import wandb

        try:
            return self._init_under_free_id(wandb, os.environ.get("WANDB_MODE"))
        except Exception as error:
            reason = _reason(error)
        # Otherwise leftovers of the first try would mark the run as in use.
        wandb.teardown()
        run = self._init(wandb, "offline")
        self._say(f"W&B is recorded offline ({reason}); to upload it: wandb sync {_folder_of(run)}")
        return run

    def _init_under_free_id(self, wandb: Any, mode: str | None) -> Any:
        """Start the run. If it was deleted on W&B's site, it gets another id, the same in each attempt."""
        first = self._settings["id"]
        for number in range(2, MOST_IDS):
            earlier = {*self._folder.glob("wandb/run-*")}
            try:
                return self._init(wandb, mode)
            except Exception as error:
                if DELETED not in str(error):
                    raise
            wandb.teardown()
            for leftover in {*self._folder.glob("wandb/run-*")} - earlier:
                shutil.rmtree(leftover)  # ``wandb sync`` would wait for it without end
            self._say(f"W&B: run {self._settings['id']} was deleted there; it goes on as {first}-{number}")
            self._settings["id"] = f"{first}-{number}"
        return self._init(wandb, mode)

    def _init(self, wandb: Any, mode: str | None) -> Any:
        _start_client(wandb, wandb.Settings(**self._console))
        settings = wandb.Settings(
            **self._console,
            init_timeout=self._init_seconds,
            login_timeout=self._init_seconds,
            finish_timeout=self._finish_seconds,
            finish_timeout_raises=True,
            # A killed run keeps what it logged, except for the last second.
            x_transaction_log_flush_interval=1.0,
        )
        return wandb.init(dir=self._folder, mode=mode, resume="allow", settings=settings, **self._settings)


def _start_client(wandb: Any, settings: Any) -> None:
    """Start the client's service process for this process only, not for its children, such as runs."""
    shared = os.environ.get(SERVICE)
    wandb.setup(settings)
    if shared is None:
        os.environ.pop(SERVICE, None)


def _remove_empty(folder: Path) -> None:
    """Remove leftovers of a start that was killed before it wrote anything: ``wandb sync`` would fail on them."""
    for path in folder.glob("wandb/*run-*/run-*.wandb"):
        if path.stat().st_size <= EMPTY_BYTES:
            shutil.rmtree(path.parent)


def _folder_of(run: Any) -> str:
    """The folder of a ``wandb.Run``, as it is typed for ``wandb sync``."""
    return shlex.quote(os.path.relpath(run.settings.sync_dir))


def _reason(error: Exception) -> str:
    return one_line(error)[:200].rstrip(".") or type(error).__name__
