"""What a file is written for: the runs of a command line, and what they need where it starts them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError
from resnet_exp.core.object_store import is_url
from resnet_exp.core.version import __version__
from resnet_exp.data.images import shipped
from resnet_exp.runs.sweep_manifest import SweepManifest
from resnet_exp.sweep.planned import Sweep, manifest_of

# Places inside a container of our image (docker/Dockerfile).
RUNS, CACHE = "/runs", "/cache"
# Settings that name something to read.
READ = ("dataset.dir", "init_from")
# Seconds from the signal to stop to the end of patience: a checkpoint is saved meanwhile.
GRACE_SECONDS = 120
# Options of the command line that name files of this machine.
FILES = ("config_dir", "config_path")
# Begins the comment of each file.
WRITER = "By resnet_exp "
# DNS labels, of which a name and its index have 63 characters.
NAME_LENGTH = 50

# What YAML is made of.
Document = dict[str, object]


@dataclass(frozen=True)
class Work:
    """A planned run or sweep.

    Attributes:
        name: letters, digits and dashes, as every program accepts it.
        words: of the command that does all of it.
        runs: each run's configuration.
        run_words: each run's own command, in the same order.
        search: whether the runs are only examples, since a search chooses them.
        manifest: of a sweep, without jobs.
    """

    name: str
    words: tuple[str, ...]
    runs: tuple[RunConfig, ...]
    run_words: tuple[tuple[str, ...], ...]
    search: bool = False
    manifest: SweepManifest | None = None

    @property
    def hardware(self) -> HardwareConfig:
        """The hardware of all runs."""
        return self.runs[0].hardware


@dataclass(frozen=True)
class Written:
    """A file's text, the command that starts it, and what must be there for it."""

    text: str
    start: str
    needs: tuple[str, ...] = ()


def work_of(planned: RunConfig | Sweep, words: Sequence[str]) -> Work:
    """The work of a command line.

    Args:
        planned: the configuration that it stands for.
        words: of the command line, without those of the plan.
    """
    if isinstance(planned, RunConfig):
        own = command_line.words_of(planned.command or "")
        return Work(_label(planned.folder.path.name), tuple(words), (planned,), (tuple(own),))
    named = [] if any(word.startswith("sweep=") for word in words) else [f"sweep={planned.name}"]
    configs = tuple(run.config for run in planned.runs)
    each = tuple((*command_line.words_of(config.command or ""), *named) for config in configs)
    manifest = manifest_of(planned, "slurm", {run.run_id: None for run in planned.runs})
    return Work(_label(planned.name), tuple(words), configs, each, planned.search is not None, manifest)


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:NAME_LENGTH].strip("-")


def check_one_hardware(work: Work, kind: str) -> None:
    """Raise `RequestError` for runs on several kinds of machines, or one on several nodes."""
    names = sorted({config.hardware.name for config in work.runs})
    if len(names) > 1:
        raise RequestError(f"hardware={','.join(names)}: one file has one kind of machine; write one for each hardware")
    if (nodes := max(config.hardware.nodes for config in work.runs)) > 1:
        raise RequestError(f"hardware.nodes={nodes} needs SLURM, and {kind} has none; use --write slurm")


def check_in_image(words: Sequence[str], kind: str) -> None:
    """Raise `RequestError` for words that cannot be followed in an image: files of this machine, SLURM's launcher."""
    parsed = command_line.parse(words)
    for option in FILES:
        if (value := getattr(parsed, option)) is not None:
            raise RequestError(f"--{option.replace('_', '-')} {value} is not in the image; give its settings as words")
    for word in words:
        if word.startswith(("hydra/launcher=slurm", "hydra.launcher.")):
            raise RequestError(f"{word} needs SLURM, and {kind} has none; leave it out, or use --write slurm")


def local_settings() -> tuple[str, ...]:
    """A note if this site has settings of its own, which another machine does not have."""
    path = paths.conf_dir() / "local" / "default.yaml"
    return (f"the settings of {path} as words: they are not there",) if path.exists() else ()


def placed(words: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """The words with some settings replaced, which come last."""
    kept = [word for word in words if word.lstrip("+").partition("=")[0] not in places]
    return [*kept, *(f"{name}={place}" for name, place in places.items())]


def folders_read(work: Work) -> list[str]:
    """Absolute paths of what the runs read: image folders and initial weights, each once, not those below another."""
    given = {path for config in work.runs for path in (_images(config), config.init_from) if path and not is_url(path)}
    found = sorted(os.path.abspath(path) for path in given)
    return [path for path in found if not any(Path(path).is_relative_to(one) for one in found if one != path)]


def _images(config: RunConfig) -> str | None:
    # What is in the box comes with the program, which makes its folder.
    return None if config.dataset.name in shipped.ALL else config.dataset.dir


def relative_paths(words: Sequence[str]) -> dict[str, str]:
    """The settings among the words that name something read by a path from the current folder."""
    pairs = (word.lstrip("+").partition("=")[::2] for word in words)
    named = {name: path for name, path in pairs if name in READ and path and path != "null" and not is_url(path)}
    return {name: path for name, path in named.items() if path[0] not in "/~$"}


def check_absolute(work: Work, kind: str) -> None:
    """Raise `RequestError` for a path that is relative to a folder of this machine."""
    for name, path in relative_paths(work.words).items():
        raise RequestError(
            f"{name}={path} depends on the current folder, which {kind} does not have; give the path that it "
            f"has there, such as {name}=/data/{Path(path).name}"
        )


def check_hardware_named(work: Work) -> None:
    """Raise `RequestError` for hardware that was found on this machine, where another is to be asked for it."""
    name = work.hardware.name
    if name == "auto" or (name == "cpu" and "hardware=cpu" not in work.run_words[0]):
        raise RequestError("hardware=auto is what this machine has, and a pod asks for its own; name a preset")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def yaml_text(head: Sequence[str], *documents: Document) -> str:
    """YAML documents below lines of comment."""
    dumped = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "".join(f"# {line}\n" for line in head) + dumped


def head_of(command: str, start: str) -> list[str]:
    """The lines that say where a file comes from and what to do with it."""
    # A word may hold line breaks.
    return [*f"{WRITER}{__version__}: {command}".splitlines(), f"Start it: {start}"]


def is_other(path: Path) -> bool:
    """Whether something is there that was not written from here; raises `OSError` if it cannot be read."""
    # A pipe or a device is not read.
    return path.exists() and not (path.is_file() and f"\n# {WRITER}".encode() in b"\n" + path.read_bytes())
