"""Hydra's and OmegaConf's errors as one line: the key, the value, the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config.overrides import hints
from resnet_exp.config.schema import OPEN_GROUPS, LauncherConfig, RunConfig
from resnet_exp.core import paths
from resnet_exp.core.terminal.text import setting

if TYPE_CHECKING:
    from hydra.errors import MissingConfigException

# OmegaConf's message, and our fix.
WANTED = {
    r"could not be converted to Integer": "use a whole number",
    r"could not be converted to Float": "use a number",
    r"is not a valid bool": "use true or false",
    r"is not Optional": "it needs a value",
    r"is not a ListConfig": "use a list such as [1,2]",
    r"Cannot convert '\w+' to string": "it takes one value and has no settings of its own",
    r"Missing mandatory value": "it is not set; give it a value",
    r"Environment variable '(\w+)' not found": (
        r"the environment variable \1 is not set; set it, or write ${oc.env:\1,DEFAULT}"
    ),
    r"Interpolation key '(.+?)' not found": r"${\1} names no key of the configuration; --cfg job shows them all",
    r"Unsupported interpolation type (\w+)": r"${\1:...} is not known; there are ${oc.env:NAME} and ${KEY}",
    r"Recursive interpolation": "its value is made of itself; give it one",
    r"Error resolving interpolation '(.+?)', possible interpolation keys": r"a choice of a group cannot be \1; name it",
}


def explain_error(error: Exception, words: Iterable[str] = (), key: str | None = None) -> str:
    """One line for an error of Hydra or OmegaConf.

    Args:
        error: what they raised.
        words: overrides, where an error that does not name its key may be of one of them.
        key: the key of such an error, if it is known.
    """
    # Imported late: every rank reads its configuration, without needing Hydra.
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException):
        if Path(error.override).is_dir():
            return f"{error.override} is not key=value; use dataset.dir={error.override}"
        return f"{error.override} cannot be read as key=value; {_quoted(error.override)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _missing_option(error)
    text = str(error.__cause__ or error)
    if in_file := re.match(r"In '(.+?)': \w+ raised while composing config:\n", text):
        line = _explain(error, text[in_file.end() :], words, key)
        return _of_file(in_file[1], _full_key(text), line)
    return _explain(error, text, words, key)


def _explain(error: Exception, text: str, words: Iterable[str], key: str | None) -> str:
    if line := _misplaced(text):
        return line
    if match := re.search(r"Key '(.+?)' (?:is )?not in ", text):
        full = _full_key(text) or match[1]
        found = getattr(error.__cause__ or error, "parent_node", None)
        asked = re.match(r"Could not override '(.+?)'", str(error))
        if asked and asked[1] != full and full.partition(".")[0] not in OPEN_GROUPS:
            return _unknown_key(asked[1], None)  # a part of the key is unknown already
        return _unknown_key(full, found)
    override = re.search(r"Error merging override (\S+)", str(error))
    key = _full_key(str(error)) or _full_key(text) or key
    if key and re.search(r"Invalid type assigned: \w+ is not a subclass of", text):
        return _not_one_value(override[1] if override else key, key)
    known = next(((match, fix) for pattern, fix in WANTED.items() if (match := re.search(pattern, text))), None)
    line = known[0].expand(known[1]) if known else _first_line(text)
    where = override[1] if override else key or _key_of_variable(text, words)
    return f"{where}: {line}" if where else line


def explain_yaml(error: yaml.YAMLError) -> str:
    """One line for a file that is not YAML."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"{mark.name}, line {mark.line + 1}: {error.problem}; look at indentation, colons and quotes there"


def missing_key(error: Exception) -> str | None:
    """The key of an override that an error refuses because the configuration does not have it; not one of Hydra's."""
    match = re.match(r"Could not (?:override|delete from config\.) '(?!hydra[./])(.+?)'", str(error))
    return match[1] if match else None


def unresolved_key(config: DictConfig | ListConfig, prefix: str = "") -> str | None:
    """The first key whose interpolation cannot be resolved; OmegaConf's own errors often do not say."""
    values: Any = config  # indexed by names or by numbers
    for name in config if isinstance(config, DictConfig) else range(len(config)):
        key = f"{prefix}{name}"
        if OmegaConf.is_missing(config, name):
            continue
        try:
            value = values[name]
        except OmegaConfBaseException:
            return key
        if isinstance(value, DictConfig | ListConfig) and (inner := unresolved_key(value, f"{key}.")):
            return inner
    return None


def _of_file(name: str, key: str | None, line: str) -> str:
    """The same for a file of a group, such as ``recipe/mine``; Hydra puts its content below ``recipe`` by default."""
    if key == name.partition("/")[0]:
        return f"{name}.yaml: it sets keys of the whole configuration; begin it with the line: # @package _global_"
    return f"{name}.yaml: {line}"


def _misplaced(text: str) -> str | None:
    """The error for words that are right elsewhere, or in another form."""
    if match := re.search(r"Ambiguous value for argument '((.+?)=.*?)'\n", text):
        one = _as_text(match[1]) if "/" in match[1] else f"{match[2]}=[...]"
        return f"{match[1]} is several values; add -m before it for a run with each, or write {one}"
    if match := re.search(r"Sweep parameters '(.+)' requires --multirun", text):
        return f"{match[1]} asks for several runs; add -m before it"
    if match := re.search(r"Multiple values for (\S+)\. To override a value use 'override (\S+): (\S+)'", text):
        return f"+{match[2]}={match[3]} adds a second {match[1]}; use {match[2]}={match[3]}, without +"
    if match := re.search(r"Could not delete from config. '(.+)' does not exist", text):
        return f"~{match[1]} removes nothing: there is no {match[1]}; --cfg job shows what there is"
    if match := re.search(r"Could not delete '((.+?)=(.+?))'\. No match", text):
        return f"~{match[1]} removes nothing; use ~{match[2]}.{match[3]}"
    return None


def _quoted(override: str) -> str:
    """What to do about an override that Hydra cannot read."""
    value = override.partition("=")[2].lstrip()
    if not value or value[0] in "[{(":
        return "quote characters that are special to the shell or Hydra"
    return f"if its value is one text, write {_as_text(override)}"


def _as_text(override: str) -> str:
    key, _, value = override.partition("=")
    return setting(key, value)


def _key_of_variable(text: str, words: Iterable[str]) -> str | None:
    """Key of the word that names the environment variable of an error."""
    name = re.search(r"Environment variable '(\w+)' not found", text)
    found = (word for word in words if name and f"oc.env:{name[1]}" in word)
    return next(found, "").lstrip("+").partition("=")[0] or None


def _not_one_value(override: str, key: str) -> str:
    part = OmegaConf.select(OmegaConf.structured(RunConfig), key)
    assert isinstance(part, DictConfig), key
    names = ", ".join(f"{key}.{name}" if number == 0 else f".{name}" for number, name in enumerate(part))
    return f"{override} is not a choice: {hints.ONLY.get(key, '')}set {names}"


def switched_off(group: str, name: str, value: object = None) -> str:
    """The error for settings in an open group whose entry is not switched on, or for a `value` in its place."""
    options = hints.options_of(group)
    if name == "_target_":
        return f"{group}.{name}: a file of {group} has a name above _target_; write NAME: and indent the rest below it"
    if isinstance(value, bool):
        fix = f"add it with +{group}={name}" if value else f"remove it with ~{group}.{name}"
        return f"{group}.{name}={str(value).lower()} is not a setting; {fix}"
    if name in options:
        return f"{group}.{name} has settings but {name} is not switched on; add it with +{group}={name}"
    return (
        f"{group}.{name} has settings but no _target_{hints.did_you_mean(name, options)}; add "
        f"+{group}.{name}._target_=package.module.Name, or +{group}={name} for a file of yours"
    )


def _unknown_key(full: str, found: object) -> str:
    """The error for a key that the configuration does not have; `found` is the mapping that lacks it."""
    group = full.partition(".")[0]
    parent, _, leaf = full.rpartition(".")
    if group in OPEN_GROUPS and parent:
        return _unknown_setting(full, found)
    there = [str(key) for key in found if key != "_target_"] if isinstance(found, DictConfig) else []
    if parent == "data.loader":
        return _unknown_of_loader(full, there)
    if isinstance(found, DictConfig) and not found:
        return f"{full} is not set yet; add it with +{full}=VALUE"
    schema = OmegaConf.structured(RunConfig)
    siblings = OmegaConf.select(schema, parent) if parent else None
    known = [str(name) for name in siblings] if isinstance(siblings, DictConfig) else there if parent else []
    near = hints.did_you_mean(leaf, known)
    if not near and (use := hints.for_key(full)):
        return f"{full} is not a setting{' here' * full.startswith('hydra.')}; use {use}"
    if not known:
        return f"{full} is not a setting{hints.near_key(full)}; --cfg job shows them all"
    return f"{full} is not a setting{near}; {parent} has {', '.join(known)}"


def _unknown_of_loader(full: str, there: list[str]) -> str:
    """The same for a setting of the data format; `there` are those of the chosen one."""
    leaf = full.rpartition(".")[2]
    files = ((paths.conf_dir() / "data" / f"{option}.yaml") for option in hints.options_of("data"))
    others = [f"data={file.stem}" for file in files if leaf in yaml.safe_load(file.read_text())["loader"]]
    of = f" with this data format but with {' or '.join(others)}" if others else hints.did_you_mean(leaf, there)
    return f"{full} is not a setting{of}; data.loader has {', '.join(there) or 'none'}"


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
    more = hints.did_you_mean(leaf, known)
    extra = "" if more else f"; +{full}=VALUE passes it to {group}.{name} anyway"
    return f"{full} is not a setting{more}; {parent} has {', '.join(known) or 'none'}{extra}"


def _missing_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    if str(error).startswith("Cannot find primary config"):
        return _missing_file(missing, str(error))
    group, option = _split_option(missing)
    # Hydra lists no options for a group that allows several, and launchers that are not ours.
    options = LAUNCHERS if group == "hydra/launcher" else [str(name) for name in error.options or []]
    if not (options := options or hints.options_of(group)):
        return f"{group}={option}: there is no group {group}"
    return f"{group}={option} is not available; {hints.for_option(group, option, options)}"


LAUNCHERS = [kind.name for kind in get_args(LauncherConfig)]


def _split_option(missing: str) -> tuple[str, str]:
    """A group and an option of a file that is not there; the option may be a path."""
    groups = {folder.name for folder in paths.conf_dir().iterdir() if folder.is_dir()} - {"hydra"}
    group, _, option = missing.partition("/")
    if group in groups:
        return group, option
    group, _, option = missing.rpartition("/")
    return group, option


def _missing_file(name: str, text: str) -> str:
    """The error for ``-cn NAME``: the files that lie where Hydra looks, as its message says."""
    if name in hints.options_of("recipe"):
        return f"--config-name {name} does not exist; use recipe={name}"
    folders = [Path(path) for path in re.findall(r"provider=(?:schema|command-line), path=file://(.+)", text)]
    files = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    return (
        f"--config-name {name} does not exist{hints.did_you_mean(name, files)}; there are {', '.join(files)}, and the "
        "files of a folder named with --config-dir"
    )


def _full_key(text: str) -> str | None:
    match = re.search(r"full_key: (\S+)", text)
    return match[1] if match else None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
