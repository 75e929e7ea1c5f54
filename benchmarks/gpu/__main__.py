"""Run the parts of ``gpu.sh``, each in a process of its own; or one of them in this one.

python -m gpu -o DIR [--rehearse]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu.parts import BESIDE, PARTS, REHEARSED_BESIDE, Part, groups

# The whole, in seconds; a part that cannot end before is not begun.
LIMIT, REHEARSAL_LIMIT, LEAST = 470, 3600, 15
DONE, LATE = "done", "skipped: too late"
# A rehearsal has slower machines.
REHEARSAL_FACTOR = 10


def machine(context: Any) -> None:
    """What this machine is."""
    import torch

    from resnet_exp.core.machine.devices import usable_cpus

    context.write(
        gpu=context.device.name(), date=datetime.date.today().isoformat(), torch=torch.__version__,
        cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), python=platform.python_version(),
        driver=_driver(), cpus=usable_cpus(), rehearsal=context.device.kind == "cpu",
    )  # fmt: skip


def _driver() -> str | None:
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.exists() else None


def run_part(name: str, folder: Path, lines: Path, rehearse: bool) -> int:
    """Run one part in this process."""
    (place,) = (part.place for part in PARTS if part.name == name)
    module, function = place.split(":")

    from gpu.context import REAL, TOY, Context
    from gpu.device import make_device

    context = Context(name, make_device("cpu" if rehearse else "cuda"), TOY if rehearse else REAL, folder, lines)
    getattr(importlib.import_module(f"gpu.{module}"), function)(context)
    return 0


@dataclass(frozen=True)
class Run:
    """A run of the parts: where it writes, and when it began."""

    folder: Path
    lines: Path
    rehearse: bool
    began: float = field(default_factory=time.monotonic)

    def run(self, part: Part) -> Outcome:
        """Run one part in a process of its own, if there is time."""
        left = (REHEARSAL_LIMIT if self.rehearse else LIMIT) - (time.monotonic() - self.began)
        if left < LEAST:
            return Outcome(part, 0.0, LATE)
        begins = time.monotonic()
        said = self._in_process(part.name, min(left, part.limit * (REHEARSAL_FACTOR if self.rehearse else 1)))
        outcome = Outcome(part, time.monotonic() - begins, said)
        say(f"{part.name}: {said}, {outcome.seconds:.0f} s")
        return outcome

    def _in_process(self, name: str, seconds: float) -> str:
        line = [sys.executable, "-m", "gpu", "--part", name, "--folder", str(self.folder), "--lines", str(self.lines)]
        line += ["--rehearse"] if self.rehearse else []
        # What one part compiles is there for the others; each of several processes takes some of the CPUs for it.
        own = {"TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"), "TORCHINDUCTOR_COMPILE_THREADS": "4"}
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **own})
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started ends with it
            process.wait()
        if code == 0:
            return DONE
        if code is None:
            return f"stopped after {seconds:.0f} s"
        return f"failed: {_last_line(self.folder / f'{name}.log')}"


@dataclass(frozen=True)
class Outcome:
    """How a part ended, after so many seconds."""

    part: Part
    seconds: float
    said: str


def run_all(output: Path, rehearse: bool, only: list[str] | None) -> int:
    """Run the parts; returns 1 if one of them failed or found something wrong."""
    folder, lines = output / "work", output / "results.jsonl"
    # What an earlier run has left would be taken for this one's.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines.unlink(missing_ok=True)
    run = Run(folder, lines, rehearse)
    wanted = [part for part in PARTS if not only or part.name in only]
    outcomes: list[Outcome] = []
    for group in groups(wanted, rehearse):
        with ThreadPoolExecutor(REHEARSED_BESIDE if rehearse else BESIDE) as pool:
            outcomes += pool.map(run.run, group)
    return _show(lines, outcomes, time.monotonic() - run.began)


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:150] if lines else "it said nothing"


def _show(lines: Path, outcomes: list[Outcome], seconds: float) -> int:
    found = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    say(f"\n{'part':<22}{'seconds':>8}  outcome")
    for outcome in outcomes:
        part = outcome.part
        rows = [row for row in found if row["part"] == part.name]
        wrong = [row for row in rows if row.get("ok") is False]
        ends = f", {len(wrong)} of {len(rows)} WRONG" if wrong else ""
        say(f"{part.number} {part.name:<20}{outcome.seconds:>8.1f}  {outcome.said}{ends}")
        for row in rows:
            say("    " + ", ".join(f"{key} {_short(value)}" for key, value in row.items() if key != "part"))
    bad = [row for row in found if row.get("ok") is False]
    undone = [outcome for outcome in outcomes if outcome.said not in (DONE, LATE)]
    late = sum(outcome.said == LATE for outcome in outcomes)
    say(f"{len(outcomes)} parts in {seconds:.0f} s: {len(undone)} failed, {late} skipped, {len(bad)} results WRONG")
    return int(bool(bad or undone))


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value) if not isinstance(value, list) else f"[{', '.join(_short(each) for each in value)}]"


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)  # noqa: T201


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        "gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    parser.add_argument("--rehearse", action="store_true", help="every part on the CPU at toy size")
    names = [part.name for part in PARTS]
    parser.add_argument("--only", nargs="+", metavar="PART", choices=names, help=f"some of {', '.join(names)}")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--lines", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return run_part(options.part, options.folder, options.lines, options.rehearse)
    return run_all(options.output.resolve(), options.rehearse, options.only)


if __name__ == "__main__":
    sys.exit(main())
