"""Write and read ``config.yaml`` of a run folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import yaml
from omegaconf import DictConfig, OmegaConf, basecontainer

from resnet_exp.config.checks import import_check, validate
from resnet_exp.config.identity import outcome
from resnet_exp.config.overrides.hydra_errors import explain_error
from resnet_exp.config.schema import TARGET, RunConfig, plain_values, run_config
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_bytes, write_text
from resnet_exp.core.records import is_object
from resnet_exp.runs.folder import RunFolder

OURS = "resnet_exp."
# What can begin a value inside another one; a configuration has a few hundred.
NESTING, MOST_NESTING = re.compile(rb"[\[{]|[-?] "), 10_000


class _Dumper(yaml.CSafeDumper):
    """Ten times as fast as `OmegaConf.to_yaml`; quotes every string that OmegaConf would read as another type."""

    # OmegaConf 2.4 defines it elsewhere than 2.3; both have it here, without declaring so.
    yaml_implicit_resolvers = getattr(basecontainer, "get_yaml_loader")().yaml_implicit_resolvers  # noqa: B009


def write_config(folder: RunFolder, config: RunConfig) -> None:
    """Write the configuration of a run atomically."""
    text = yaml.dump(asdict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    write_text(folder.config, text)


def stored_config(run: RunFolder) -> RunConfig:
    """The configuration of a finished run, unchecked: it may be from an earlier version.

    Raises:
        OSError: it cannot be read.
        ValueError, TypeError, yaml.YAMLError: it is damaged.
    """
    text = read_bytes(run.config)
    if len(NESTING.findall(text)) > MOST_NESTING:
        raise ValueError("it is nested too deeply")  # which would end this process: the fast parser is recursive
    return run_config(yaml.load(text, yaml.CSafeLoader))


def read_config(run: RunFolder) -> RunConfig:
    """Read and validate the configuration of a run folder.

    Raises:
        RequestError: it is missing, damaged, or from an earlier version.
    """
    try:
        typed = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.load(run.config))
        assert isinstance(typed, DictConfig)
        config = run_config(plain_values(typed))
    except (FileNotFoundError, NotADirectoryError):
        raise RequestError(f"{run.path} is not a run folder: it has no config.yaml") from None
    except Exception as error:
        # OmegaConf, YAML and the decoder each raise their own errors.
        raise RequestError(f"{run.config} is damaged ({explain_error(error)}); start the run again") from error
    _refuse_earlier(run, config)
    validate.validate(config)
    return config


def other_settings(run: RunFolder, config: RunConfig) -> list[str]:
    """What counts in a run id and differs from the folder's configuration: ``ssr=0.1, not 0.2``."""
    try:
        before = stored_config(run)
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        return []
    there, now = (dict(_flat(asdict(each))) for each in (before, config))
    keys = dict.fromkeys(key for each in (before, config) for key, _ in _flat(outcome(each)))
    return [f"{key}={there.get(key)}, not {now.get(key)}" for key in keys if there.get(key) != now.get(key)]


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of nested mappings."""
    for name, value in values.items():
        if is_object(value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _refuse_earlier(run: RunFolder, config: RunConfig) -> None:
    """Refuse a folder that names one of our classes that has moved: the user could not fix such a target."""
    for key, entry in config.entries():
        target = str(entry[TARGET])
        if target.startswith(OURS) and not import_check.exists(target):
            raise RequestError(
                f"{run.path} was written by an earlier version ({key}.{TARGET}={target} no longer exists); "
                "rerun its command to start it over"
            )
