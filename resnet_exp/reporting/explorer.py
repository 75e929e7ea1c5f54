"""``explorer.html``: all runs on one page that needs no server and no network.

The page contains its chart library (plotly.js, from the ``plotly`` package) and its data, both gzipped, and inflates
them with the browser's ``DecompressionStream`` (Chrome 80, Firefox 113, Safari 16.4 or later). Its security policy
allows only its own two scripts, by hash, so the name of a run can never run as a script.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import html
import importlib.util
import json
import math
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from resnet_exp.reporting.page_script import join_modules
from resnet_exp.results.prices import Price
from resnet_exp.results.record import RunRecord

PAGE = Path(__file__).parent / "explorer_page"
MAIN, STYLES, TEMPLATE = "main.js", ("style.css", "parts.css"), "page.html"
# Size limit of a page, which mail and chat accept. Configurations are left out first, then points of curves.
MAX_BYTES = 5_500_000
# More would take longer to compress than everything else.
MAX_CONFIG_CHARACTERS = 8_000_000
# Most points per curve, more than a plot of that size shows; and most points of all curves.
MAX_CURVE, MAX_CURVES = 40, 150_000
# Fast rather than small, because the page is written with every report.
LEVEL = 4
NUMBERS = tuple(
    field.name for field in dataclasses.fields(RunRecord) if "float" in str(field.type) and field.name != "curve"
)
OTHERS = tuple(field.name for field in dataclasses.fields(RunRecord) if field.name not in (*NUMBERS, "curve"))


def write_page(
    runs: Sequence[RunRecord],
    prices: Mapping[str, Price],
    counts: Mapping[str, int],
    path: Path,
    configs: Mapping[str, str],
) -> None:
    """Write the page.

    Args:
        runs: own and published ones.
        prices: of the hardware presets, by name.
        counts: number of runs in each state.
        path: the file.
        configs: resolved YAML by run id, as far as known.
    """
    script = _script()
    plotly, plotly_hash = _plotly()
    parts = {
        "/*STYLE*/": "\n".join(_read(name) for name in STYLES),
        "/*SCRIPT*/": script,
        "@HASHES@": f"'{_hash(script.encode())}' '{plotly_hash}'",
        "@PLOTLY@": plotly,
        "@DATA@": _pack(page_data(runs, prices, counts)),
    }
    room = MAX_BYTES - len(_read(TEMPLATE)) - sum(len(part.encode()) for part in parts.values())
    parts |= _details(runs, configs, room)
    page = _read(TEMPLATE)
    for place, part in parts.items():
        page = page.replace(place, part)
    path.write_text(page, encoding="utf-8")


def page_data(runs: Sequence[RunRecord], prices: Mapping[str, Price], counts: Mapping[str, int]) -> dict[str, object]:
    """What the page shows, without configurations and curves: ``Content`` in ``types.d.ts``, ready for JSON."""
    rows = [vars(run) for run in runs]
    columns = {name: [row[name] for row in rows] for name in OTHERS}
    columns |= {name: [_known(row[name]) for row in rows] for name in NUMBERS}
    columns["protocol"] = [run.protocol for run in runs]
    return {
        "written": time.strftime("%Y-%m-%d %H:%M"),
        "counts": dict(counts),
        "prices": {name: dataclasses.asdict(price) for name, price in prices.items()},
        "columns": columns,
    }


def _known(value: float | None) -> float | None:
    # JSON has no NaN.
    return value if value is not None and math.isfinite(value) else None


def _details(runs: Sequence[RunRecord], configs: Mapping[str, str], room: int) -> dict[str, str]:
    """Configurations and curves as far as there is room, and a sentence about what is left out."""
    longest = max((len(run.curve) for run in runs), default=0)
    limit = max(2, min(MAX_CURVE, MAX_CURVES // max(1, len(runs))))
    curves = _pack(_curves(runs, limit))
    small = sum(map(len, configs.values())) <= MAX_CONFIG_CHARACTERS
    packed = _pack(dict(configs)) if small else ""
    if not small or len(packed) + len(curves) > room:
        configs, packed = {}, _pack({})
    missing = sum(run.path is not None and run.run_id not in configs for run in runs)
    left_out = [f"configurations of {missing:,} runs (they are in the run folders)"] if missing else []
    while len(packed) + len(curves) > room and limit > 0:
        limit = limit // 2 if limit > 3 else 0
        curves = _pack(_curves(runs, limit))
    if longest > limit and limit < MAX_CURVE:
        left_out.append(f"all but {limit} points of each curve" if limit else "curves")
    said = f"Left out to keep this page small: {' and '.join(left_out)}." if left_out else ""
    return {"@CONFIGS@": packed, "@CURVES@": curves, "@LEFT_OUT@": html.escape(said)}


def _curves(runs: Sequence[RunRecord], limit: int) -> list[list[int]]:
    """For each run, milliseconds and thousandths of a percent alternate: integers are fast to write and small."""
    return [
        [
            number
            for seconds, top1 in _thinned(run.curve, limit)
            if math.isfinite(seconds) and math.isfinite(top1)
            for number in (round(1000 * seconds), round(1e5 * top1))
        ]
        for run in runs
    ]


def _thinned(curve: Sequence[tuple[float, float]], limit: int) -> Sequence[tuple[float, float]]:
    if limit == 0:
        return ()
    step = math.ceil(len(curve) / limit)
    # Counted from the end, to keep the last evaluation.
    return curve[::-1][::step][::-1] if step > 1 else curve


def _pack(content: object) -> str:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return _packed(text.encode())


def _packed(content: bytes) -> str:
    # Without a timestamp: the same content gives the same page.
    return base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode()


def _hash(script: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"


@cache
def _plotly() -> tuple[str, str]:
    """Plotly's script, compressed, and its hash; read without importing plotly, which takes longer than the page."""
    found = importlib.util.find_spec("plotly")
    assert found is not None and found.origin is not None
    script = (Path(found.origin).parent / "package_data" / "plotly.min.js").read_bytes()
    return _packed(script), _hash(script)


@cache
def _script() -> str:
    return join_modules(PAGE, MAIN)


@cache
def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
