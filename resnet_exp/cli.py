"""The command line: Hydra composes, `launch.run` carries out. No torch here, so that it answers in a second."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_exp import check, config, console, launch
from resnet_exp.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed

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
        codes.append(_carry_out(job, composed))
        if codes[-1] == EXIT_INTERRUPTED:
            # Hydra would go on with the next run of a sweep.
            raise KeyboardInterrupt

    # Hydra prints its errors over many lines and exits with 1; with this it raises them to us.
    wanted_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"
    decorated = hydra.main(version_base="1.3", config_path=str(config.conf_dir()), config_name="config")(task)
    try:
        decorated()
    except (HydraException, OmegaConfBaseException, RequestError) as error:
        if wanted_traceback:
            raise
        console.complain(explain(error))
        return EXIT_BAD_REQUEST
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return max(codes, default=EXIT_DONE)


def _carry_out(job: Job, composed: DictConfig) -> int:
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


def explain(error: Exception) -> str:
    """One line for an error of Hydra or OmegaConf: the key, the value, the fix."""
    cause = error.__cause__ or error
    text = str(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _missing_option(error)
    if match := re.search(r"Key '(.+?)' (?:is )?not in ", text):
        return _unknown_key(text, match[1])
    line = " ".join(part.strip() for part in text.splitlines() if not part.strip().startswith("object_type="))
    override = _override_in(str(error))
    return f"{override}: {line}" if override and override not in line else line


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = [str(name) for name in error.options or []]
    if not group:
        return f"--config-name {option} is not there; give a file of the folder named with --config-dir"
    if not options:
        return f"{group}={option}: there is no group {group}"
    return f"{group}={option} is not available; use one of {', '.join(options)}{_did_you_mean(option, options)}"


def _unknown_key(text: str, key: str) -> str:
    match = re.search(r"full_key: (\S+)", text)
    full = match[1] if match else key
    group, _, name = full.partition(".")
    if group in check.OPEN_GROUPS and name:
        return f"{full} has settings but {name} is not switched on; add it with +{group}={name}"
    schema = OmegaConf.structured(config.RunConfig)
    parent, _, leaf = full.rpartition(".")
    siblings = OmegaConf.select(schema, parent) if parent else schema
    known = [str(name) for name in siblings] if OmegaConf.is_dict(siblings) else []
    listed = f"; {parent or 'the configuration'} has {', '.join(known)}" if known else ""
    return f"{full} is not a setting{_did_you_mean(leaf, known)}{listed}"


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _override_in(text: str) -> str | None:
    match = re.search(r"Error merging override (\S+)", text)
    return match[1] if match else None


if __name__ == "__main__":
    sys.exit(main())
