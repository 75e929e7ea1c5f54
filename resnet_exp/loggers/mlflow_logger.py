"""Composer's MLflow logger, with the status in which a run ended."""

from __future__ import annotations

from typing import Literal

from composer.loggers import MLFlowLogger

Status = Literal["KILLED", "FAILED"]


class MLflow(MLFlowLogger):
    """Composer's, with runs that failed or were stopped marked so.

    ``post_close`` of Composer 0.32.1 overwrites the status: with FAILED while any exception is handled, such as a
    request to stop, and with FINISHED otherwise.
    """

    _status: Status | None = None

    def log_stop(self) -> None:
        """The run was asked to stop: KILLED, until it is resumed."""
        self._set("KILLED")

    def log_failure(self) -> None:
        """The run has failed."""
        self._set("FAILED")

    def post_close(self) -> None:
        """Flush and end the run; its status stays."""
        super().post_close()
        if self._status is not None:
            self._set(self._status)

    def _set(self, status: Status) -> None:
        self._status = status
        if self._enabled and self._run_id is not None:
            self._mlflow_client.set_terminated(self._run_id, status=status)
