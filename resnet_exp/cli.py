"""The command line: Hydra composes, `launch.run` carries out. No torch here, so that it answers in a second."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from resnet_exp import check, config, console, launch
from resnet_exp.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.explain import explain

Job = Callable[[dict[str, Any]], int]


def main() -> int:
    """Train or sweep; returns the exit code."""
    return run_hydra(launch.run)


def run_hydra(job: Job) -> int:
    """Compose the configuration of the command line and give it to `job`, once for each run of a sweep.

    Returns:
        The exit code: 2 if the request was wrong, else 1 if a job failed, else 0.
    """
    config.register()
    codes: list[int] = []

    def task(composed: DictConfig) -> None:
        codes.append(_carry_out(job, composed, wanted_traceback))
        if codes[-1] == EXIT_INTERRUPTED:
            # Hydra would go on with the next run of a sweep.
            raise KeyboardInterrupt

    # Hydra prints its errors over many lines and exits with 1; with this it raises them to us.
    wanted_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"
    decorated = hydra.main(version_base="1.3", config_path=str(config.conf_dir()), config_name="config")(task)
    # While data is prepared, being told to stop is as good as Ctrl-C; ranks have their own way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _set_options_last()
        decorated()
    except (HydraException, OmegaConfBaseException, RequestError) as error:
        if wanted_traceback:
            raise
        console.complain(str(error) if isinstance(error, RequestError) else explain(error))
        return EXIT_BAD_REQUEST
    except (OSError, ValueError) as error:
        # Hydra's own, such as of a sweep's folder that it cannot make.
        if wanted_traceback:
            raise
        console.complain(f"{' '.join(str(error).split())}; HYDRA_FULL_ERROR=1 shows where")
        return EXIT_BAD_REQUEST
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return max(codes, default=EXIT_DONE)


def _carry_out(job: Job, composed: DictConfig, wanted_traceback: bool) -> int:
    overrides = list(HydraConfig.get().overrides.task)
    try:
        chosen_anew = any(override.startswith("algorithms=") for override in overrides)
        for name in [] if chosen_anew else check.leftovers(composed, overrides):
            console.say(f"note: settings of algorithms.{name} are left out, since it is not switched on")
        return job(check.finalize(composed, overrides))
    except (RequestError, OmegaConfBaseException) as error:
        console.complain(str(error) if isinstance(error, RequestError) else explain(error))
        return EXIT_BAD_REQUEST
    except RunFailed as error:
        console.complain(str(error))
        return EXIT_FAILED
    except Exception as error:
        if wanted_traceback:
            raise
        text = " ".join(str(error).split())
        console.complain(f"{type(error).__name__}: {text}; HYDRA_FULL_ERROR=1 shows where")
        return EXIT_FAILED


def _set_options_last() -> None:
    """Let options stand anywhere among the overrides, and refuse unknown ones in one line."""

    def refuse(message: str) -> NoReturn:
        raise RequestError(f"{message}; --help shows what there is")

    parser = get_args_parser()
    parser.error = refuse
    known, rest = parser.parse_known_args()
    if unknown := [word for word in rest if word.startswith("-")]:
        refuse(f"{unknown[0]} is not an option")
    # argparse takes only the first group of overrides: those after `-m` would be unknown to it.
    overrides = [*known.overrides, *rest]
    sys.argv[1:] = [*overrides, *(word for word in sys.argv[1:] if word not in overrides)]


if __name__ == "__main__":
    sys.exit(main())
