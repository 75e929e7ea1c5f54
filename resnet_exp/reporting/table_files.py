"""The runs of a report as a table: ``runs.csv`` and ``runs.parquet``, with the same columns.

Accuracies are fractions (0 to 1). Lists (algorithms, commits) are joined by spaces. An empty cell is unknown;
a run without algorithms has ``none``.

A spreadsheet treats a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula, so
the name of a run could run code. In ``runs.csv`` such texts get a leading apostrophe, which makes them plain text;
``runs.parquet`` has them unchanged. Numbers are never changed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_exp.results.collect import UNREADABLE, Collected
from resnet_exp.results.record import NO_ALGORITHMS, RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Name, Arrow type, value; fields of `RunRecord` first, then derived values.
_FIELDS = {
    "run_id": "string", "published": "bool", "group": "string", "recipe": "string", "model": "string",
    "dataset": "string", "data": "string", "cloud": "string", "hardware": "string", "gpu": "string",
    "devices": "int64", "nodes": "int64", "cpus": "int64", "ssr": "float64", "seed": "int64", "epochs": "float64",
    "top1": "float64", "top5": "float64", "train_seconds": "float64", "eval_seconds": "float64", "clock": "string",
    "cost_usd": "float64", "usd_per_node_hour": "float64", "price_date": "string", "published_cost_usd": "float64",
    "energy_kwh": "float64", "protocol": "string", "tta": "string", "images_per_second": "float64",
    "data_wait_seconds": "float64", "resumed": "int64", "dirty": "bool", "sweep": "string", "source": "string",
    "path": "string", "command": "string",
}  # fmt: skip
_MADE: dict[str, tuple[str, Callable[[RunRecord], Any]]] = {
    "algorithms": ("string", lambda run: None if run.algorithms is None else " ".join(run.algorithms) or NO_ALGORITHMS),
    "commits": ("string", lambda run: " ".join(run.commits)),
    "eval_resize_px": ("int64", lambda run: run.eval_resize),
    "eval_crop_px": ("int64", lambda run: run.eval_crop),
}
TYPES = _FIELDS | {name: kind for name, (kind, _) in _MADE.items()}
COLUMNS = tuple(TYPES)
# The types of pandas, all of which can be unknown.
KINDS = {"string": "string", "bool": "boolean", "int64": "Int64", "float64": "float64"}
UNFINISHED = ("run_id", "state", "why", "epochs", "path")


def columns(runs: Iterable[RunRecord]) -> dict[str, list[Any]]:
    """The values of each column; None where unknown."""
    runs = list(runs)
    plain = {name: [getattr(run, name) for run in runs] for name in _FIELDS}
    return plain | {name: [value(run) for run in runs] for name, (_, value) in _MADE.items()}


def write_csv(table: dict[str, list[Any]], path: Path) -> None:
    """Write `columns` as UTF-8 CSV of RFC 4180."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*(_cells(values) for values in table.values()), strict=True))


def _unfinished(collected: Collected) -> Iterator[tuple[str, ...]]:
    """The values of `UNFINISHED` for each run."""
    for folder, why in collected.unreadable:
        yield folder.name, UNREADABLE, why, "", str(folder)
    for state in collected.states:
        yield state.run_id, state.kind, state.why, state.epochs, str(state.path)


def write_unfinished(collected: Collected, path: Path) -> None:
    """Write the runs that are not finished: state, reason, progress and folder."""
    rows = list(_unfinished(collected))
    columns = zip(*rows, strict=True) if rows else ((),) * len(UNFINISHED)
    write_csv(dict(zip(UNFINISHED, map(list, columns), strict=True)), path)


def frame(collected: Collected, published: Iterable[RunRecord] = ()) -> DataFrame:
    """`columns` of the finished runs, and of `published` ones, as a table whose types do not depend on the values."""
    from pandas import DataFrame, Series

    table = columns([*collected.runs, *published])
    kinds = {name: KINDS[kind] for name, kind in TYPES.items()}
    found = DataFrame({name: Series(table[name], dtype=kinds[name]) for name in table})  # pyright: ignore
    found.attrs["unfinished"] = list(_unfinished(collected))
    return found


def _cells(values: list[Any]) -> list[Any]:
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, bool):
        return str(value).lower()
    return value


def write_parquet(table: dict[str, list[Any]], path: Path) -> None:
    """Write `columns` as Parquet; the types do not depend on the values."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(TYPES[name])) for name in table])
    pyarrow.parquet.write_table(pyarrow.table(table, schema=schema), path)
