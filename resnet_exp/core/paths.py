"""Where the YAML files of the package are, what paths that users write mean, and whose a source file is."""

from __future__ import annotations

import os
import re
import sysconfig
from functools import cache
from pathlib import Path

from resnet_exp.core.errors import RequestError

PACKAGE = Path(__file__).resolve().parent.parent
# Not ${NAME}, which is OmegaConf's: the value of another key.
VARIABLE = re.compile(r"\$([A-Za-z_]\w*)", re.ASCII)


def expanded(key: str, path: str) -> str:
    """The path of a setting with ``~`` and ``$NAME`` replaced: no shell has seen what stands in quotes or in a file.

    Raises:
        RequestError: there is no such user, or the variable is not set.
    """
    text = os.path.expanduser(path)
    if text.startswith("~"):
        user = text.partition("/")[0]
        raise RequestError(f"{key}={path}: there is no user {user[1:]}; write ./{user} for a folder of that name")
    try:
        return VARIABLE.sub(lambda found: os.environ[found[1]], text)
    except KeyError as error:
        if os.path.lexists(text):
            return text
        raise RequestError(f"{key}={path}: the variable {error.args[0]} is not set; set it, or name the path") from None


def user_path(text: str) -> Path:
    """A path in an option such as ``--output=~/report``, where no shell replaces ``~``, or in quotes."""
    return Path(os.path.expandvars(os.path.expanduser(text)))


def default_cache(runs_dir: str) -> str:
    """``$XDG_CACHE_HOME`` or ``~/.cache``; beside the runs if the home is not writable, as on some clusters."""
    home = Path(os.environ.get("HOME") or "/nonexistent")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "resnet_exp"
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return str(cache) if os.access(existing, os.W_OK) else os.path.abspath(os.path.join(runs_dir, ".cache"))


def conf_dir() -> Path:
    """Folder of the Hydra groups: inside an installed package, else beside the package in a checkout."""
    return _beside("conf")


def sweeps_dir() -> Path:
    """Folder of the sweeps, found as `conf_dir` is."""
    return _beside("sweeps")


def _beside(name: str) -> Path:
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def is_users(file: str) -> bool:
    """Whether a source file is a user's own: neither ours, nor installed, nor of Python itself."""
    return not any(Path(file).is_relative_to(place) for place in _installed()) and Path(file).is_file()


@cache
def _installed() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [PACKAGE, *(Path(sysconfig.get_path(name)) for name in names)]
