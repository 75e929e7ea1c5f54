"""CPU time per image of our data loaders, compared with others.

    python benchmarks/data.py                       a table; about 10 minutes on two cores
    python benchmarks/data.py -o loading.svg        and its picture
    python benchmarks/data.py --cold                the same for images that are not in the page cache
    python benchmarks/data.py --cold --read-rate 100 inf    and from a disk that reads so many MB/s; needs root
    python benchmarks/data.py --only parquet Parquet torchvision    some of the loaders
    python benchmarks/data.py --startup             the time to the first batch
    python benchmarks/data.py --against DIR         our loaders and those of another checkout, which has its .venv

    benchmarks/peers.sh                             make environments of loaders of others, once
    python benchmarks/data.py --peers -o docs/loading.svg       our loaders at 176 px and those of others
    python benchmarks/data.py --peers --threads 2   the same with two threads, or worker processes
    python benchmarks/data.py --peers --threads 2 --rate 1000   for a device that takes 1,000 images/s at most
    python benchmarks/data.py --peers --quality     bytes an image, and PSNR to what Pillow makes of the same crops

Each loader runs in its own process and loads the same generated photographs (500x375 pixels, JPEG) in
turn with the others, one pass per round; ``--images DIR`` takes those of a folder with ``train/`` and ``val/``
instead. CPU time covers all threads and worker processes; there are none of these without ``--threads``. The
first pass of each, which compiles, is not counted; ``--startup`` measures it. With ``--cold`` each
pass runs in a new process, warmed up on other images, on files that are not in the page cache, and measures wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data_loaders import FULL, NAMES, generate, make, marked_files, prepare
from data_tables import columns, draw, show, show_peers, spread
from loader_process import HERE, PEERS, REFERENCE, Found, Load, Row, ask, begin, command_of, measure, rows_in
from peers.passes import serve
from slow_disk import limited

from resnet_exp.core.terminal import console

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
    *(f"ours, ffcv {mode}, full {FULL}" for mode in ("proportion", "source", "jpg")),
    f"ours, streaming, full {FULL}",
    f"mosaicml-streaming, {FULL}",
    f"ours, imagefolder pillow, full {FULL}",
    f"torchvision ImageFolder, {FULL}",
)


def serve_own(name: str, root: Path, warm: Path | None, load: Load) -> None:
    """A loader's process: a pass for each line of standard input; answers are lines of JSON.

    With `warm` the first pass is over that folder, and that over `root` begins with opening its files.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    # Imports are not what is measured.
    if name.startswith("ours"):
        import resnet_exp.data.ffcv.loader
        import resnet_exp.data.imagefolder.compiled
        import resnet_exp.data.imagefolder.pillow
        import resnet_exp.data.parquet.loader
        import resnet_exp.data.streaming.loader  # noqa: F401
    else:
        import ffcv.loader  # noqa: F401
        import torchvision  # noqa: F401
    epoch = (lambda: make(name, root, load.threads)()) if warm else make(name, root, load.threads)
    serve(epoch, load.rate, load.epochs, make(name, warm, load.threads) if warm else None)


def own(name: str, root: Path, warm: Path | None = None, checkout: Path = HERE) -> list[str]:
    """The command of a loader of this environment, or of that of another checkout."""
    command = [_python(checkout), str(checkout / "benchmarks" / "data.py"), "--serve", name, "--root", str(root)]
    return [*command, "--warm", str(warm)] if warm else command


def command(row: Row, root: Path, peers: Path) -> list[str]:
    """The command of a loader of a comparison."""
    if not row.environment:
        return own(row.name, root)
    return command_of(row, peers, ("--folder", marked_files(root) if row.reads == "marked" else root / "train"))


def measure_cold(root: Path, warm: Path, rounds: int, names: Sequence[str], rate: float | None = None) -> Found:
    """The same with a process for each pass, whose files are not in memory; the disk reads `rate` MB/s."""
    found: Found = {name: [] for name in names}
    with limited(root, rate) as limit:
        for number in range(rounds):
            for name in names:
                process = begin(own(name, root, warm), Load(), root.parent.parent / "numba")
                ask(process, None)
                _forget(root.parent)
                limit(process.pid)
                found[name].append(ask(process))
                process.communicate()
                console.status(f"round {number + 1} of {rounds}: {name}")
    return found


def show_rates(root: Path, warm: Path, rounds: int, rates: Sequence[float]) -> None:
    """Print a table in Markdown: wall time of FFCV files from disks of given rates, and `source` / `proportion`."""
    console.say("| disk, MB/s | proportion, ms | source, ms | source / proportion |\n| --- | --- | --- | --- |")
    for rate in rates:
        found = measure_cold(root, warm, rounds, COLD[:2], rate if rate < float("inf") else None)
        walls = [columns(passes, "wall")[0] for passes in found.values()]
        ratio = [source / proportion for proportion, source in zip(*walls, strict=True)]
        console.say(f"| {rate:g} | {' | '.join(map(spread, [*walls, ratio]))} |")


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
                process = begin(own(name, root), Load(), root.parent / f"startup{number}")
                column.append(ask(process, None)["first_pass"])
                process.communicate()
        console.say(f"{name:<48}" + "".join(f"{spread(column):>22}" for column in columns))


def compare(folder: Path, other: Path, rounds: int) -> None:
    """Print a table in Markdown: our loaders in the checkout `other` and in this one."""
    sides = ((other.resolve(), folder / "then" / "photos"), (HERE, folder / "now" / "photos"))
    for checkout, root in sides:
        line = [_python(checkout), "-c", PREPARE, str(root)]
        subprocess.run(line, cwd=checkout / "benchmarks", check=True)
    console.say("| loader | then, ms | now, ms | now / then |\n| --- | --- | --- | --- |")
    for name in (name for name in NAMES if name.startswith("ours")):
        processes = [
            begin(own(name, root, checkout=checkout), Load(), root.parent / "numba") for checkout, root in sides
        ]
        for process in processes:
            ask(process, None)
        passes = [_pass_of_each(processes, number % 2) for number in range(rounds)]
        for process in processes:
            process.communicate()
        columns = [*zip(*passes, strict=True), [now / then for then, now in passes]]
        console.say(f"| {name} | {' | '.join(spread(list(column)) for column in columns)} |")


def _pass_of_each(processes: Sequence[subprocess.Popen[str]], first: int) -> list[float]:
    """CPU time of each process in their order; the one numbered `first` begins, so that none always follows."""
    found = {number: ask(processes[number])["cpu"] for number in (first, 1 - first)}
    return [found[0], found[1]]


def _python(checkout: Path) -> str:
    """The interpreter of a checkout: this one here, that of the ``.venv`` elsewhere."""
    return sys.executable if checkout == HERE else str(checkout / ".venv" / "bin" / "python")


def chosen(name: str, parts: list[str] | None) -> bool:
    """Whether a loader is one of those that ``--only`` names."""
    return any(part in name for part in parts or [""])


def compare_peers(options: argparse.Namespace, root: Path) -> None:
    """Print how our loaders compare with those of others."""
    load = Load(options.threads, options.rate, options.epochs)
    rows = [row for row in rows_in(options.peers) if row.name == REFERENCE or chosen(row.name, options.only)]
    if options.quality:
        import data_quality

        with tempfile.TemporaryDirectory() as folder:
            data_quality.show(rows, root, data_quality.one_class_each(root, Path(folder)), options.peers)
        return
    commands = {row.name: command(row, root, options.peers) for row in rows}
    found = measure(commands, load, root.parent / "numba", options.rounds)
    show_peers(found, load)
    if options.output:
        draw(found, options.output)


def photographs(given: Path | None, root: Path) -> None:
    """Put photographs into `root`: a link to a folder that is given, or else generated ones."""
    root.parent.mkdir(parents=True, exist_ok=True)
    if given:
        root.unlink(missing_ok=True)
        root.symlink_to(given.resolve())
    elif not root.exists():
        generate(root)
    prepare(root)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="passes of each loader that are counted")
    parser.add_argument("--images", type=Path, metavar="DIR", help="photographs, instead of generated ones")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what is converted there, and use it again")
    parser.add_argument("--startup", action="store_true", help="measure the start instead")
    parser.add_argument("-o", "--output", type=Path, help="picture to write")
    parser.add_argument("--cold", action="store_true", help="measure with files that are not in memory")
    parser.add_argument(
        "--read-rate", type=float, nargs="+", metavar="MB/S", help="with --cold: FFCV files, slow disks"
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare our loaders with those of a checkout")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="loaders that have one of these in their names")
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", nargs="?", const=PEERS, help="compare with loaders of others"
    )
    parser.add_argument("--quality", action="store_true", help="with --peers: bytes and PSNR instead of time")
    parser.add_argument("--threads", type=int, default=1, help="that decode, or worker processes")
    parser.add_argument("--rate", type=float, default=0, help="images/s that are taken at most")
    parser.add_argument("--epochs", type=int, default=1, help="of a pass")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Command line; returns the exit code."""
    options = parse()
    load = Load(options.threads, options.rate, options.epochs)
    if options.serve:
        serve_own(options.serve, options.root, options.warm, load)
        return 0
    with contextlib.nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        if options.against:
            compare(Path(folder), options.against, options.rounds)
            return 0
        root, warm = Path(folder) / "measured" / "photos", Path(folder) / "warm" / "photos"
        photographs(options.images, root)
        sizes = [path.stat().st_size for path in (root / "train").rglob("*") if path.is_file()]
        console.say(
            f"{len(sizes)} photographs of {sum(sizes) / len(sizes):,.0f} bytes on average, {options.rounds} rounds"
        )
        if options.peers:
            compare_peers(options, root)
            return 0
        if options.startup:
            startup(root, options.rounds)
            return 0
        if options.cold:
            photographs(None, warm)
        if options.read_rate:
            show_rates(root, warm, options.rounds, options.read_rate)
            return 0
        if options.cold:
            found = measure_cold(root, warm, options.rounds, COLD)
        else:
            commands = {name: own(name, root) for name in NAMES if chosen(name, options.only)}
            found = measure(commands, load, root.parent / "numba", options.rounds)
        show(found)
        if options.output:
            draw(found, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
