"""Everything that the package uses of Composer, torch, torchvision, torchmetrics and numba is in the installed ones."""

from __future__ import annotations

import inspect
import re
import warnings
from collections import Counter

import pytest

from support import library_use
from support.library_use import COMPOSER, Departure, locate, use
from support.paths import ROOT


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def test_what_is_imported_is_there() -> None:
    found = use()
    missing: list[str] = []
    for name in sorted(found.names | found.targets):
        try:
            locate(name)
        except (ImportError, AttributeError) as error:
            missing.append(f"{name}: {error}")
    assert not missing
    assert {"composer.Trainer", "composer.utils.checkpoint._torch_load_with_validation"} <= found.names


def test_what_is_read_of_objects_is_theirs() -> None:
    members = use().members
    owners = {name: locate(name.rpartition(".")[0]) for name in members}
    assert [name for name in members if not library_use.has_member(owners[name], name.rpartition(".")[2])] == []
    assert {"composer.Trainer._rng_state", "composer.core.State.timestamp", "composer.core.Timestamp.batch"} <= members


def test_arguments_are_taken() -> None:
    for called, given in use().arguments.items():
        try:
            taken = inspect.signature(locate(called)).parameters
        except ValueError:  # compiled functions do not say
            continue
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
            assert given <= set(taken), called
    assert {"load_path", "load_exclude_algorithms"} <= use().arguments["composer.Trainer"]


def test_callbacks_hear_what_composer_calls() -> None:
    from composer.core import Callback

    heard = use().heard
    assert "batch_end" in heard and [name for name in heard if not hasattr(Callback, name)] == []


def test_what_is_set_anew_is_called_by_composer() -> None:
    """A function of the module looks the name up when it runs: else ours would never be called."""
    replaced = {name for name in use().replaced if name.startswith(f"{COMPOSER}.")}
    assert len(replaced) == 2
    for name in replaced:
        module, _, short = name.rpartition(".")
        functions = [value for _, value in inspect.getmembers(locate(module), inspect.isfunction)]
        assert any(short in value.__code__.co_names and value.__module__ == module for value in functions), name


def locked_versions() -> dict[str, str]:
    """By the names that texts have for them."""
    text = (ROOT / "requirements.lock").read_text()
    pins = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))
    return {"composer": pins["mosaicml"], **pins}


def test_what_is_extended_or_set_anew_says_of_which_version() -> None:
    """A newer version in the lock fails here: look whether the reason that is written there still holds."""
    # Networks are made of `torch.nn.Module`: it has nothing that ours would have to follow.
    departures = [departure for departure in use().departures if departure.of != "torch.nn.Module"]
    versions = locked_versions()
    assert len(departures) > 30

    def named(departure: Departure) -> bool:
        said = {
            (name.lower(), version)
            for name, version in re.findall(r"([\w-]+?)(?:'s)? (\d+\.\d+\.\d+)", departure.texts)
        }
        library = departure.of.partition(".")[0]
        return (library, versions[library]) in said if library in versions else bool(said & versions.items())

    assert [(departure.file, departure.of) for departure in departures if not named(departure)] == []


def test_a_patch_stands_in_one_file_and_a_file_has_one() -> None:
    patches = {(departure.file, departure.of) for departure in use().departures if departure.patches}
    assert "_torch_load_with_validation" in {of.rpartition(".")[2] for _, of in patches}
    assert [of for of, times in Counter(of for _, of in patches).items() if times > 1] == []
    several = {file for file, times in Counter(file for file, _ in patches).items() if times > 1}
    assert several == {"resnet_exp/tracking/workspace.py"}  # two ids, for one reason


def test_the_random_state_is_restored_by_the_trainer_unless_it_is_taken() -> None:
    from composer import Trainer

    source = inspect.getsource(Trainer)
    assert "self._rng_state = checkpoint.load_checkpoint(" in source
    assert "reproducibility.load_rng_state(self._rng_state)" in source


def test_the_risk_is_as_the_documentation_counts_it() -> None:
    """Where this fails, ``cd tests && ../.venv/bin/python -m support.library_use`` writes the tables anew."""
    assert library_use.tables() in (ROOT / "docs" / "architecture.md").read_text()
