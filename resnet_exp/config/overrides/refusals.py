"""What is said of errors: of a wrong request one line, and of a fault where to look."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config.overrides.hydra_errors import explain_error, explain_yaml
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line

FULL_ERROR = "HYDRA_FULL_ERROR"
# What Hydra raises of a wrong request, and we; its own errors of a folder are OSErrors.
REFUSALS = (HydraException, OmegaConfBaseException, OSError, ValueError, yaml.YAMLError)


def message(error: Exception, words: Sequence[str] = ()) -> str:
    """The line that says what is wrong with a request; `words`: of its command line."""
    if isinstance(error, RequestError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain_error(error, words)
    if isinstance(error, yaml.YAMLError):
        return explain_yaml(error)
    # Hydra's own errors, such as for a sweep folder that it cannot create.
    return f"{one_line(error)}; {FULL_ERROR}=1 shows where"


def refused(error: Exception, words: Sequence[str] = ()) -> int:
    """Print why a request is refused; returns the exit code."""
    console.complain(message(error, words))
    return EXIT_BAD_REQUEST


def fault(error: Exception) -> int:
    """Print an error that nobody foresaw; returns the exit code."""
    console.complain(f"{type(error).__name__}: {one_line(error)}; {FULL_ERROR}=1 shows where")
    return EXIT_FAILED


@contextlib.contextmanager
def errors_reported(codes: list[int], full_error: str | None) -> Generator[None]:
    """Print an error in a block and add its exit code; re-raise it if `full_error` requests tracebacks."""
    try:
        yield
    except KeyboardInterrupt:
        codes.append(EXIT_INTERRUPTED)
    except (RequestError, OmegaConfBaseException) as error:
        codes.append(refused(error))
    except RunFailed as error:
        console.complain(str(error))
        codes.append(EXIT_FAILED)
    except Exception as error:
        if full_error:
            raise
        codes.append(fault(error))


@contextlib.contextmanager
def full_error(value: str | None) -> Generator[None]:
    """Set Hydra's variable in a block, or unset it.

    By default Hydra prints errors over many lines and exits; with the variable set it raises them to us. Jobs and the
    processes that they start see the user's own setting.
    """
    before = os.environ.pop(FULL_ERROR, None)
    try:
        if value is not None:
            os.environ[FULL_ERROR] = value
        yield
    finally:
        os.environ.pop(FULL_ERROR, None)
        if before is not None:
            os.environ[FULL_ERROR] = before
