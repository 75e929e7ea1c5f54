"""``explorer.html``: all runs on one page that needs no server and no network. No torch, no Hydra.

The page holds its chart library (plotly.js, from the ``plotly`` package) and its data gzipped, and inflates both with
the browser's own ``DecompressionStream`` (Chrome 80, Firefox 113, Safari 16.4 or later). It lets no script run but its
own two, known by their hashes: nothing that a run is called can become one.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from resnet_exp.prices import Price
from resnet_exp.records import Run

PAGE = Path(__file__).parent / "explorer_page"
# In the order in which they are joined.
SCRIPTS = ("frontier", "format", "state", "select", "controls", "answer", "chart", "table", "details", "main")
STYLE, TEMPLATE = "style.css", "page.html"
# What a page may weigh. Configurations are left out first, then curves; mail and chat take files of this size.
MAX_BYTES = 5_500_000
# Points of a curve: more than a picture of that size shows.
MAX_CURVE = 40
# Fast rather than small: the page is written with every report.
LEVEL = 6


def write_page(
    runs: Sequence[Run],
    prices: Mapping[str, Price],
    counts: Mapping[str, int],
    path: Path,
    configs: Mapping[str, str],
) -> None:
    """Write the page.

    Args:
        runs: own and published ones.
        prices: of the hardware presets, by name.
        counts: how many runs there are of each state.
        path: the file.
        configs: resolved YAML by run id, as far as known.
    """
    script = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    library = _plotly()
    head = _read(TEMPLATE).replace("/*STYLE*/", _read(STYLE)).replace("@PLOTLY@", _pack(library))
    head = head.replace("@HASHES@", f"{_hash(library)} {_hash(script.encode())}").replace("/*SCRIPT*/", script)
    room = MAX_BYTES - len(head.encode())
    path.write_text(head.replace("@DATA@", _fitting(runs, prices, counts, configs, room)), encoding="utf-8")


def _fitting(
    runs: Sequence[Run], prices: Mapping[str, Price], counts: Mapping[str, int], configs: Mapping[str, str], room: int
) -> str:
    """The packed data with as much of the details as there is room for."""
    for left_out in ((), ("configurations",), ("configurations", "curves")):
        content = {
            "written": time.strftime("%Y-%m-%d %H:%M"),
            "counts": dict(counts),
            "left_out": left_out,
            "prices": {name: asdict(price) for name, price in prices.items()},
            "configs": {} if "configurations" in left_out else dict(configs),
            "runs": [_row(run, "curves" not in left_out) for run in runs],
        }
        packed = _pack(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())
        if len(packed) <= room:
            break
    return packed


def _row(run: Run, curve: bool) -> dict[str, Any]:
    row = {name: value for name, value in vars(run).items() if name != "curve" and value not in (None, "", ())}
    row["protocol"] = run.protocol
    row["curve"] = [[_short(seconds), _short(top1)] for seconds, top1 in _thinned(run.curve)] if curve else []
    return row


def _thinned(curve: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = math.ceil(len(curve) / MAX_CURVE)
    # Counted from the end: the last evaluation stays.
    return curve[::-1][::step][::-1] if step > 1 else curve


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _pack(content: bytes) -> str:
    # Without a time: the same content gives the same page.
    return base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode()


def _hash(script: bytes) -> str:
    """As Content-Security-Policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def _plotly() -> bytes:
    """Plotly's script; found without importing plotly, which takes longer than the whole page."""
    found = importlib.util.find_spec("plotly")
    assert found is not None and found.origin is not None
    return (Path(found.origin).parent / "package_data" / "plotly.min.js").read_bytes()


@cache
def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
