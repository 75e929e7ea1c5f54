"""The runs of a sweep: all combinations of ``params``, ``grids`` and the command line's overrides.

`params` and the command line's overrides apply to every run. `grids` are alternatives: the sweep has the runs of each
of them. A key on the command line replaces the file's. If `grids` vary a group, an option of it on the command line,
such as ``recipe=mild``, selects the matching runs instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from resnet_exp.core.errors import RequestError

PARAMS, GRIDS = "hydra.sweeper.params", "hydra.sweeper.grids"
RANGE = "range(START,STOP) or range(START,STOP,STEP)"
# Of one key: more must be a typo, and ``range(0,inf)`` has no end.
MOST_VALUES = 100_000


@dataclass(frozen=True)
class Axis:
    """One key of a sweep, and an override for each of its values."""

    key: str
    overrides: tuple[str, ...]


def parse_overrides(loader: ConfigLoader, lines: Sequence[str]) -> dict[str, Override]:
    """Overrides by key; the last one wins if a key is repeated, as in Hydra's own sweeper."""
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(lines))
    return {override.get_key_element().lstrip("~+"): override for override in parsed}


def override_lines(entry: Mapping[str, object], place: str) -> list[str]:
    """A mapping of a sweep's YAML as command-line overrides; `place` names it in errors.

    Raises:
        RequestError: a value could not be written on a command line.
    """
    return [_line(str(key), value, f"{place}.{key}") for key, value in entry.items()]


def _line(key: str, value: object, place: str) -> str:
    if value is None:
        return key if key.startswith("~") else f"{key}=null"
    if isinstance(value, bool):
        return f"{key}={str(value).lower()}"
    if not isinstance(value, str | int | float):
        raise RequestError(f'{place}={value}: write several values with commas, and one that is a list as "[1,2]"')
    return f"{key}={value}"


def expand_grid(
    loader: ConfigLoader, params: Mapping[str, object], grids: Sequence[Any], arguments: Sequence[str]
) -> list[list[str]]:
    """Overrides of each run; all `grids` come once before `params` take their next values.

    Raises:
        RequestError: `params` and `grids` contradict each other, or the command line selects no run.
    """
    asked = _axes(parse_overrides(loader, arguments))
    common = _axes(parse_overrides(loader, override_lines(params, PARAMS)))
    entries = [_entry(loader, grid, f"{GRIDS}[{number}]") for number, grid in enumerate(grids)] or [{}]
    for number, entry in enumerate(entries):
        if twice := sorted(common.keys() & entry.keys()):
            raise RequestError(f"{GRIDS}[{number}].{twice[0]} is in {PARAMS} too; give it in one of them")
    in_grids = {key for entry in entries for key in entry}
    selecting = {key: asked[key] for key in sorted(asked.keys() & in_grids) if loader.get_group_options(key)}
    for axis in selecting.values():
        _require_there(axis, entries)
    outer = [axis for key, axis in common.items() if key not in asked]
    outer += [axis for key, axis in asked.items() if key not in selecting]
    inner = [chosen for entry in entries if (chosen := _choose(entry, asked, selecting)) is not None]
    if not inner:
        wanted = " ".join(override for axis in selecting.values() for override in axis.overrides)
        raise RequestError(f"{wanted}: no entry of {GRIDS} has them together")
    return [
        [*outer_point, *inner_point]
        for outer_point in itertools.product(*(axis.overrides for axis in outer))
        for chosen in inner
        for inner_point in itertools.product(*(axis.overrides for axis in chosen))
    ]


def _entry(loader: ConfigLoader, entry: Any, place: str) -> dict[str, Axis]:
    if not isinstance(entry, Mapping):
        raise RequestError(f"{place}={entry}: each entry maps keys to values, such as {{recipe: mild, ssr: 0.3}}")
    return _axes(parse_overrides(loader, override_lines(entry, place)))


def _axes(overrides: Mapping[str, Override]) -> dict[str, Axis]:
    return {key: _axis(key, override) for key, override in overrides.items()}


def _axis(key: str, override: Override) -> Axis:
    line = str(override.input_line)
    if override.is_delete():
        return Axis(key, (line,))
    name = override.get_key_element()
    if not override.is_sweep_override():
        return Axis(key, (f"{name}={override.get_value_element_as_str()}",))
    if not override.is_discrete_sweep():
        raise RequestError(f"{line}: a grid needs values such as 0.1,0.2; hydra/sweeper=adaptive searches an interval")
    return Axis(key, tuple(f"{name}={value}" for value in swept_values(override)))


def swept_values(override: Override) -> list[str]:
    """The values of a discrete sweep as text.

    Raises:
        RequestError: there is none, such as in ``range(5,1)``, or there are too many.
    """
    line = override.input_line
    try:
        values = list(itertools.islice(override.sweep_string_iterator(), MOST_VALUES + 1))
    except (HydraException, ValueError, ArithmeticError) as error:
        raise RequestError(f"{line} cannot be counted out; use {RANGE} with a STEP other than 0") from error
    if len(values) > MOST_VALUES:
        raise RequestError(f"{line} holds more than {MOST_VALUES:,} values; use fewer")
    if not values:
        group = f"a pattern that matches an option of {override.key_or_group}"
        wanted = group if isinstance(override.value(), Glob) else f"{RANGE}, whose values go from START towards STOP"
        raise RequestError(f"{line} holds no value; use {wanted}")
    return values


def _require_there(axis: Axis, entries: Sequence[Mapping[str, Axis]]) -> None:
    """Refuse an option on the command line that no entry of `grids` has: it must be a typo."""
    if not all(axis.key in entry for entry in entries):
        return
    there = sorted({override for entry in entries for override in entry[axis.key].overrides})
    for override in axis.overrides:
        if override not in there:
            raise RequestError(f"{override} is in no entry of {GRIDS}; they have {', '.join(there)}")


def _choose(entry: Mapping[str, Axis], asked: Mapping[str, Axis], selecting: Mapping[str, Axis]) -> list[Axis] | None:
    """The axes of one entry of `grids` that the command line selects; None if it selects none of its runs."""
    chosen = []
    for key, axis in entry.items():
        if key in selecting:
            kept = tuple(override for override in axis.overrides if override in selecting[key].overrides)
            if not kept:
                return None
            chosen.append(Axis(key, kept))
        elif key not in asked:
            chosen.append(axis)
    return chosen + [axis for key, axis in selecting.items() if key not in entry]
