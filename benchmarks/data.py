"""CPU time per image of our data loaders, compared with others.

    python benchmarks/data.py                       a table; about 10 minutes on two cores
    python benchmarks/data.py -o docs/loading.svg   and its picture
    python benchmarks/data.py --cold                the same for images that are not in the page cache
    python benchmarks/data.py --startup             the time to the first batch
    python benchmarks/data.py --against DIR         our loaders and those of another checkout, which has its .venv

Each loader runs in its own process and loads the same generated photographs (500x375 pixels, JPEG) in
turn with the others, one pass per round, without worker processes. CPU time covers all its threads. The
first pass of each, which compiles, is not counted; ``--startup`` measures it. With ``--cold`` each
pass runs in a new process, warmed up on other images, on files that are not in the page cache, and measures wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data_loaders import FULL, IMAGES, MODES, NAMES, generate, make, prepare

from resnet_exp.core.terminal import console

HERE = Path(__file__).resolve().parent.parent
# For the interpreter of another checkout, in its folder of benchmarks.
PREPARE = """
import sys
from pathlib import Path
from data_loaders import generate, prepare
generate(Path(sys.argv[1]))
prepare(Path(sys.argv[1]))
"""
# Not FFCV's own: it compiles its pipeline for seconds whenever it opens a file.
COLD = (
    f"ours, ffcv proportion, full {FULL}",
    f"ours, streaming, full {FULL}",
    f"mosaicml-streaming, {FULL}",
    f"ours, imagefolder, full {FULL}",
    f"torchvision ImageFolder, {FULL}",
)


def _answer(numbers: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(numbers) + "\n")
    sys.stdout.flush()


def serve(name: str, root: Path, warm: Path | None) -> None:
    """A loader's process: a pass for each line of standard input; answers are lines of JSON.

    With `warm` the first pass is over that folder, and that over `root` begins with opening its files.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    # Imports are not what is measured.
    if name.startswith("ours"):
        import resnet_exp.data.ffcv.loader
        import resnet_exp.data.imagefolder.compiled
        import resnet_exp.data.imagefolder.pillow
        import resnet_exp.data.streaming.loader  # noqa: F401
    else:
        import ffcv.loader  # noqa: F401
        import torchvision  # noqa: F401
    began, busy = time.monotonic(), time.process_time()
    work = make(name, warm or root)
    work()
    _answer({"first_pass": time.monotonic() - began, "first_cpu": time.process_time() - busy})
    for _ in sys.stdin:
        busy, began = time.process_time(), time.monotonic()
        images = (make(name, root) if warm else work)()
        cpu, wall = time.process_time() - busy, time.monotonic() - began
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        _answer({"cpu": 1000 * cpu / images, "wall": 1000 * wall / images, "memory": memory})


def begin(
    name: str,
    root: Path,
    cache: Path,
    warm: Path | None = None,
    checkout: Path = HERE,
) -> subprocess.Popen[str]:
    """Start a loader's process; compiled code is kept in `cache`."""
    command = [_python(checkout), str(checkout / "benchmarks" / "data.py"), "--serve", name, "--root", str(root)]
    command += ["--warm", str(warm)] if warm else []
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process: subprocess.Popen[str], line: str | None = "\n") -> dict[str, float]:
    """The next answer of a loader's process."""
    assert process.stdin is not None and process.stdout is not None
    if line is not None:
        process.stdin.write(line)
        process.stdin.flush()
    return json.loads(process.stdout.readline())


Found = dict[str, list[dict[str, float]]]


def measure(root: Path, rounds: int) -> Found:
    """What every loader answers in turn, once a round."""
    processes = {}
    for name in NAMES:
        # One after the other: the first compiles for all.
        processes[name] = begin(name, root, root.parent / "numba")
        ask(processes[name], None)
        console.status(f"{name} is ready")
    found: Found = {name: [] for name in NAMES}
    for number in range(rounds):
        for name, process in processes.items():
            found[name].append(ask(process))
            console.status(f"round {number + 1} of {rounds}: {name}")
    for process in processes.values():
        process.communicate()
    return found


def measure_cold(root: Path, warm: Path, rounds: int) -> Found:
    """The same with a process for each pass, whose files are not in memory when it begins."""
    found: Found = {name: [] for name in COLD}
    for number in range(rounds):
        for name in COLD:
            process = begin(name, root, root.parent.parent / "numba", warm)
            ask(process, None)
            _forget(root.parent)
            found[name].append(ask(process))
            process.communicate()
            console.status(f"round {number + 1} of {rounds}: {name}")
    return found


def _forget(folder: Path) -> None:
    """Have the system drop what it keeps in memory of all files of a folder."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def startup(root: Path, rounds: int) -> None:
    """Print seconds from the end of the imports to the end of the first pass, in a first and in a second run."""
    console.say(f"\n{'seconds to the end of the first pass':<48}{'first run':>22}{'second run':>22}")
    for name in (f"ours, ffcv proportion, full {FULL}", f"FFCV's own, proportion, {FULL}"):
        columns: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for column in columns:
                process = begin(name, root, root.parent / f"startup{number}")
                column.append(ask(process, None)["first_pass"])
                process.communicate()
        console.say(f"{name:<48}" + "".join(f"{_spread(column):>22}" for column in columns))


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def compare(folder: Path, other: Path, rounds: int) -> None:
    """Print a table in Markdown: our loaders in the checkout `other` and in this one."""
    sides = ((other.resolve(), folder / "then" / "photos"), (HERE, folder / "now" / "photos"))
    for checkout, root in sides:
        line = [_python(checkout), "-c", PREPARE, str(root)]
        subprocess.run(line, cwd=checkout / "benchmarks", check=True)
    console.say("| loader | then, ms | now, ms | now / then |\n| --- | --- | --- | --- |")
    for name in (name for name in NAMES if name.startswith("ours")):
        processes = [begin(name, root, root.parent / "numba", checkout=checkout) for checkout, root in sides]
        for process in processes:
            ask(process, None)
        passes = [_pass_of_each(processes, number % 2) for number in range(rounds)]
        for process in processes:
            process.communicate()
        columns = [*zip(*passes, strict=True), [now / then for then, now in passes]]
        console.say(f"| {name} | {' | '.join(_spread(list(column)) for column in columns)} |")


def _pass_of_each(processes: Sequence[subprocess.Popen[str]], first: int) -> list[float]:
    """CPU time of each process in their order; the one numbered `first` begins, so that none always follows."""
    found = {number: ask(processes[number])["cpu"] for number in (first, 1 - first)}
    return [found[0], found[1]]


def _python(checkout: Path) -> str:
    """The interpreter of a checkout: this one here, that of the ``.venv`` elsewhere."""
    return sys.executable if checkout == HERE else str(checkout / ".venv" / "bin" / "python")


def show(found: Found) -> None:
    """Print the table."""
    console.say(
        f"{'loader':<46}{'CPU ms an image':>20}{'images/s a core':>17}{'FFCV own / this':>18}{'wall ms':>20}{'MiB':>7}"
    )
    for name, passes in found.items():
        cpu, wall = ([answer[key] for answer in passes] for key in ("cpu", "wall"))
        modes = [mode for mode in MODES if f" {mode}," in name]
        reference = found.get(f"FFCV's own, {modes[0]}, {FULL}" if modes else "", [])
        ratios = [theirs["cpu"] / ours for theirs, ours in zip(reference, cpu, strict=False)]
        ratio = _spread(ratios) if ratios else ""
        memory = max(answer["memory"] for answer in passes)
        speed = 1000 / statistics.median(cpu)
        console.say(f"{name:<46}{_spread(cpu):>20}{speed:>17,.0f}{ratio:>18}{_spread(wall):>20}{memory:>7,.0f}")


def draw(found: Found, path: Path) -> None:
    """Draw the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    values = [[answer["cpu"] for answer in passes] for passes in found.values()]
    middles = [statistics.median(passes) for passes in values]
    spread = [[middle - min(v) for middle, v in zip(middles, values, strict=True)],
              [max(v) - middle for middle, v in zip(middles, values, strict=True)]]  # fmt: skip
    colors = ["#0072B2" if name.startswith("ours") else "#999999" for name in found]
    axes.barh(list(found), middles, xerr=spread, color=colors, ecolor="#333333")
    axes.invert_yaxis()
    axes.set(xlabel="CPU milliseconds an image (median and range)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="passes of each loader that are counted")
    parser.add_argument("--startup", action="store_true", help="measure the start instead")
    parser.add_argument("-o", "--output", type=Path, help="picture to write")
    parser.add_argument("--cold", action="store_true", help="measure with files that are not in memory")
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare our loaders with those of a checkout")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.root, options.warm)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if options.against:
            compare(Path(folder), options.against, options.rounds)
            return 0
        root, warm = Path(folder) / "measured" / "photos", Path(folder) / "warm" / "photos"
        console.say(f"{IMAGES} photographs of {generate(root):,.0f} bytes on average, {options.rounds} rounds")
        prepare(root)
        if options.startup:
            startup(root, options.rounds)
            return 0
        if options.cold:
            generate(warm)
            prepare(warm)
        found = measure_cold(root, warm, options.rounds) if options.cold else measure(root, options.rounds)
        show(found)
        if options.output:
            draw(found, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
