"""Dataclasses read from JSON: every value checked, none repaired. Standard library only.

The type of a field says what it may hold, such as `Fraction`, ``Text | None``, another dataclass, or a tuple of them. A
field with a default may be missing.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeGuard, TypeVar

from resnet_exp.core import files
from resnet_exp.core.errors import RequestError

# More is a slip: 10^12 seconds are 32,000 years.
MOST = 1e12

T = TypeVar("T")


# What a check makes of a value that it does not accept.
REFUSED = object()


@dataclass(frozen=True)
class Check:
    """What a value must be, in words, and a function that converts it, or returns `REFUSED` if it is something else."""

    wanted: str
    convert: Callable[[Any], Any]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a JSON object."""
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_text(value: object) -> bool:
    """Whether a value is text that can be written: JSON has halves of characters too."""
    return isinstance(value, str) and (value.isascii() or value.encode(errors="ignore").decode() == value)


def _text(value: Any) -> Any:
    return value if value and is_text(value) else REFUSED


def _texts(value: Any) -> Any:
    return tuple(value) if _is_list(value) and all(map(is_text, value)) else REFUSED


def _number(most: float, above: float = -1.0) -> Callable[[Any], Any]:
    # True is 1 to Python; no comparison holds for NaN.
    def convert(value: Any) -> Any:
        return float(value) if type(value) in (float, int) and 0 <= value <= most and value > above else REFUSED

    return convert


def _whole(least: int) -> Check:
    def convert(value: Any) -> Any:
        return value if type(value) is int and least <= value <= MOST else REFUSED

    return Check(f"a whole number from {least} to {MOST:g}", convert)


def _of_type(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) is kind else REFUSED


Text = Annotated[str, Check("a text", _text)]
Texts = Annotated[tuple[str, ...], Check("a list of texts", _texts)]
Number = Annotated[float, Check(f"a number from 0 to {MOST:g}", _number(MOST))]
Positive = Annotated[float, Check(f"above 0 and at most {MOST:g}", _number(MOST, above=0))]
Fraction = Annotated[float, Check("a number from 0 to 1", _number(1))]
Unbounded = Annotated[float, Check("a number", lambda value: float(value) if type(value) in (float, int) else REFUSED)]
Whole = Annotated[int, _whole(0)]
Count = Annotated[int, _whole(1)]

_PLAIN = {
    str: Check("a text", _of_type(str)),
    bool: Check("true or false", _of_type(bool)),
    int: Check("a whole number", _of_type(int)),
    list: Check("a list", _of_type(list)),
    dict: Check("an object", _of_type(dict)),
    tuple: Check("a list", lambda value: tuple(value) if _is_list(value) else REFUSED),
}


class _Field(NamedTuple):
    """How one field is read: by a check, or, if that is None, as a dataclass of its own."""

    name: str
    check: Check | None
    convert: Callable[[Any], Any]
    nullable: bool
    needed: bool


def from_json(kind: type[T], values: object, name: str = "") -> T:
    """The dataclass `kind` from a JSON object; keys that it does not have are left out.

    Args:
        kind: a dataclass of the types above, of others like it, of tuples of others, and of those or None.
        values: the object.
        name: what the object is called where it is part of another.

    Raises:
        ValueError: a value is missing or impossible; the message says which.
    """
    if not is_object(values):
        raise ValueError(f"it has no {name}" if name else "it is not a JSON object")
    prefix = f"{name}." if name else ""
    found: dict[str, Any] = {}
    # A report reads thousands of results: hence one loop, and one call a value.
    for key, check, convert, nullable, needed in _fields(kind):
        if key not in values:
            if needed:
                raise ValueError(f"it has no {prefix}{key}")
            continue
        value = values[key]
        made = None if value is None and nullable else convert(value)
        if made is REFUSED:
            assert check is not None
            raise ValueError(f"{prefix}{key}={_shown(value)} must be {check.wanted}")
        found[key] = made
    return kind(**found)


def read_record(path: Path, parse: Callable[[object], T]) -> T | None:
    """What `parse` makes of a JSON file, None if there is no file.

    Raises:
        RequestError: it is not such a file; `parse` has raised a `ValueError` that says why.
    """
    values = files.read_json(path)
    try:
        return None if values is None else parse(values)
    except ValueError as error:
        raise RequestError(f"{path}: {error}; remove it to run again") from error


def _shown(value: object) -> str:
    try:
        return f"{value!r:.40}"
    except RecursionError:  # JSON can be nested more deeply than Python prints it
        return "..."


@cache
def _fields(kind: type[Any]) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(_field(field, hints[field.name]) for field in dataclasses.fields(kind))


def _field(field: dataclasses.Field[Any], hint: Any) -> _Field:
    options = [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
    (one,) = options
    needed = field.default is dataclasses.MISSING
    nullable = one is not hint
    if dataclasses.is_dataclass(one):
        record = typing.cast("type[Any]", one)
        return _Field(field.name, None, partial(_nested, record, field.name), nullable, needed)
    if typing.get_origin(one) is tuple and dataclasses.is_dataclass(item := typing.get_args(one)[0]):
        record = typing.cast("type[Any]", item)
        return _Field(field.name, _PLAIN[tuple], partial(_each_nested, record, field.name), nullable, needed)
    check = _check(one)
    return _Field(field.name, check, check.convert, nullable, needed)


def _nested(kind: type[Any], name: str, value: object) -> Any:
    return from_json(kind, value, name)


def _each_nested(kind: type[Any], name: str, value: object) -> Any:
    if not _is_list(value):
        return REFUSED
    return tuple([from_json(kind, each, f"{name}[{number}]") for number, each in enumerate(value)])


def _check(hint: Any) -> Check:
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind is Annotated:
        return arguments[1]
    if kind is typing.Literal:
        return Check(f"one of {', '.join(arguments)}", lambda value: value if value in arguments else REFUSED)
    return _PLAIN[kind or hint]
