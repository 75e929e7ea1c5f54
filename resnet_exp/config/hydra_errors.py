"""Hydra's and OmegaConf's errors as one line: the key, the value, the fix."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from resnet_exp.config.schema import OPEN_GROUPS, RunConfig
from resnet_exp.core import paths

if TYPE_CHECKING:
    from hydra.errors import MissingConfigException

# OmegaConf's message for a value of the wrong type, and our fix.
WANTED = {
    r"could not be converted to Integer": "use a whole number",
    r"could not be converted to Float": "use a number",
    r"is not a valid bool": "use true or false",
    r"is not Optional": "it needs a value",
    r"is not a ListConfig": "use a list such as [1,2]",
    r"Cannot convert '\w+' to string": "it takes one value and has no settings of its own",
}


def explain_error(error: Exception) -> str:
    """One line for an error of Hydra or OmegaConf."""
    # Imported late: every rank reads its configuration, without needing Hydra.
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read as key=value; quote characters that are special to the shell or Hydra"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _missing_option(error)
    text = str(error.__cause__ or error)
    if match := re.search(r"Ambiguous value for argument '((.+?)=.*?)'\n", text):
        return f"{match[1]} is several values; add -m before it for a run with each, or write {match[2]}=[...]"
    if match := re.search(r"Sweep parameters '(.+)' requires --multirun", text):
        return f"{match[1]} asks for several runs; add -m before it"
    if match := re.search(r"Key '(.+?)' (?:is )?not in ", text):
        return _unknown_key(_full_key(text) or match[1], getattr(error.__cause__ or error, "parent_node", None))
    override = re.search(r"Error merging override (\S+)", str(error))
    where = override[1] if override else _full_key(text)
    line = next((fix for pattern, fix in WANTED.items() if re.search(pattern, text)), "") or _first_line(text)
    return f"{where}: {line}" if where else line


def switched_off(group: str, name: str) -> str:
    """The error for settings in an open group whose entry is not switched on."""
    options = _options(group)
    if name in options:
        return f"{group}.{name} has settings but {name} is not switched on; add it with +{group}={name}"
    return (
        f"{group}.{name} has settings but no _target_{_did_you_mean(name, options)}; add "
        f"+{group}.{name}._target_=package.module.Name, or +{group}={name} for a file of yours"
    )


def _unknown_key(full: str, found: object) -> str:
    """The error for a key that the configuration does not have; `found` is the mapping that lacks it."""
    group = full.partition(".")[0]
    parent, _, leaf = full.rpartition(".")
    if group in OPEN_GROUPS and parent:
        return _unknown_setting(full, found)
    schema = OmegaConf.structured(RunConfig)
    siblings = OmegaConf.select(schema, parent) if parent else schema
    known = [str(name) for name in siblings] if OmegaConf.is_dict(siblings) else []
    if isinstance(found, DictConfig) and not found:
        return f"{full} is not set yet; add it with +{full}=VALUE"
    if not known:
        return f"{full} is not a setting; --cfg job shows them all"
    return (
        f"{full} is not a setting{_did_you_mean(leaf, known)}; {parent or 'the configuration'} has {', '.join(known)}"
    )


def _unknown_setting(full: str, found: object) -> str:
    """The same for a key in an open group, where only entries that are switched on have settings."""
    group, name, *below = full.split(".")
    keys = [str(key) for key in found] if isinstance(found, DictConfig) else []
    if not below or (len(below) == 1 and "_target_" not in keys):
        return switched_off(group, name)
    parent, _, leaf = full.rpartition(".")
    known = [key for key in keys if key != "_target_"]
    if len(below) > 1 and not known:
        return f"{full} is not a setting; {parent} takes one value and has no settings of its own"
    # The files list only settings that recipes use; the class may accept more.
    more = _did_you_mean(leaf, known)
    extra = "" if more else f"; +{full}=VALUE passes it to {group}.{name} anyway"
    return f"{full} is not a setting{more}; {parent} has {', '.join(known) or 'none'}{extra}"


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"--config-name {option} does not exist; give a file of the folder named with --config-dir"
    # Hydra lists no options for a group that allows several.
    options = [str(name) for name in error.options or []] or _options(group)
    if not options:
        return f"{group}={option}: there is no group {group}"
    return f"{group}={option} is not available; use one of {', '.join(options)}{_did_you_mean(option, options)}"


def _options(group: str) -> list[str]:
    return [path.stem for path in sorted((paths.conf_dir() / group).glob("*.yaml"))]


def _full_key(text: str) -> str | None:
    match = re.search(r"full_key: (\S+)", text)
    return match[1] if match else None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
