"""Compare our code for MDS shards with the packages whose format it is: writing, start-up, loading.

    python benchmarks/mds.py setup DIR      environments of streaming-community and mosaicml-streaming in DIR, 13 GB
    python benchmarks/mds.py measure DIR    tables in Markdown; about 7 minutes on two cores
    python benchmarks/mds_faults.py DIR     what each does where something goes wrong

Everything is measured in turn, in processes of their own, on the same shards of the photographs of
`benchmarks/data.py`, in the page cache. CPU time covers all threads and worker processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_loaders import BATCH, IMAGES, SHARDS, generate
from mds_contenders import (
    HYBRID,
    LOADERS,
    NORMAL,
    OURS,
    answer,
    cpu_seconds,
    folder_of,
    samples_of,
    started,
    write_ours,
    write_package,
)

from resnet_exp.core.terminal import console

HERE = Path(__file__).resolve().parent.parent
PACKAGES = {"streaming-community": "0.14.2", "mosaicml-streaming": "0.13.0"}
# The same in all environments; mosaicml-streaming needs an older numpy.
SHARED = ("torch", "torchvision", "pillow", "numba", "opencv-python-headless")
A_SHARD = 512


def python_of(name: str, folder: Path) -> str:
    """The interpreter of a contender: "ours", or the name of a package."""
    return sys.executable if name == OURS else str(folder / name / "bin" / "python")


def setup(folder: Path) -> None:
    """Make an environment for each package: this project, then the package with all that it asks for."""
    uv = str(Path(sys.executable).with_name("uv"))
    pins = folder / "pins.txt"
    folder.mkdir(parents=True, exist_ok=True)
    pins.write_text("".join(f"{name}=={version(name)}\n" for name in SHARED))
    for name, release in PACKAGES.items():
        python = python_of(name, folder)
        pip = ["pip", "install", "--python", python, "--constraint", str(pins)]
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, str(folder / name)], check=True)
        subprocess.run([uv, *pip, "--editable", ".", "s3fs"], cwd=HERE, check=True)
        # Not by this project's own view of what the package needs (`pyproject.toml`).
        subprocess.run([uv, "--no-config", *pip, f"{name}=={release}"], cwd=folder, check=True)


def serve(task: str, name: str, root: Path) -> None:
    """A process that writes or loads all images for each line of standard input, or starts once."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if task == "start":
        answer(started(name, root))
        return
    work = _writing(name, root) if task == "write" else _loading(name, root)
    work()
    answer({})
    for _ in sys.stdin:
        began, busy = time.monotonic(), cpu_seconds()
        images = work()
        answer({"cpu": 1000 * (cpu_seconds() - busy) / images, "wall": 1000 * (time.monotonic() - began) / images})


def _writing(name: str, root: Path) -> Any:
    samples, target = 2 * samples_of(folder_of(root)), root.parent / f"written {os.getpid()}"

    def work() -> int:
        (write_ours if name == OURS else write_package)(samples, target, A_SHARD)
        shutil.rmtree(target)
        return len(samples)

    return work


def _loading(name: str, root: Path) -> Any:
    batches = LOADERS[name](root)
    return lambda: sum(len(labels) for _, labels in batches)


def begin(python: str, task: str, name: str, root: Path) -> subprocess.Popen[str]:
    """Start a process; see `serve`."""
    command = [python, __file__, "serve", task, name, str(root)]
    own = {"NUMBA_CACHE_DIR": str(root.parent / f"numba {python.replace('/', '_')}"), "TMPDIR": str(root.parent)}
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **own}
    log = (root.parent / "errors.txt").open("a")
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environ)


def ask(process: subprocess.Popen[str], line: str = "") -> dict[str, float]:
    """The next answer of a process."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    for said in process.stdout:
        if said.startswith("answer "):
            return json.loads(said.partition(" ")[2])
    raise RuntimeError("the process ended; errors.txt in the temporary folder says why")


Found = dict[str, list[dict[str, float]]]


def in_turn(task: str, contenders: dict[str, tuple[str, str]], root: Path, rounds: int) -> Found:
    """What contenders answer in turn; each has its interpreter and the name of what it does."""
    found: Found = {title: [] for title in contenders}
    if task == "start":
        for title, each in contenders.items():
            ask(begin(each[0], task, each[1], root))
            console.status(f"{task}: {title} is ready")
        for _ in range(rounds):
            for title, each in contenders.items():
                found[title].append(ask(begin(each[0], task, each[1], root)))
        return found
    processes: dict[str, subprocess.Popen[str]] = {}
    for title, each in contenders.items():
        processes[title] = begin(each[0], task, each[1], root)
        ask(processes[title])
        console.status(f"{task}: {title} is ready")
    for number in range(rounds):
        for title, process in processes.items():
            found[title].append(ask(process, "\n"))
            console.status(f"{task}: round {number + 1} of {rounds}")
    for process in processes.values():
        process.communicate()
    return found


def import_composer(folder: Path, rounds: int, packages: list[str]) -> Found:
    """CPU seconds of importing Composer, which imports transformers where that is installed."""
    script = "import time, composer; print(time.process_time())"
    found: Found = {name: [] for name in (OURS, *packages)}
    for _ in range(rounds + 1):
        for name, passes in found.items():
            done = subprocess.run(
                [python_of(name, folder), "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
            )
            passes.append({"cpu": float(done.stdout)})
    return {name: passes[1:] for name, passes in found.items()}


def spread(found: list[dict[str, float]], key: str, digits: int = 2) -> str:
    """Median [range]."""
    values = [each[key] for each in found]
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def show(title: str, found: Found, columns: dict[str, tuple[str, int]]) -> None:
    """Print a table in Markdown; `columns` has keys and digits by their titles."""
    console.say(f"\n| {title} | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for name, passes in found.items():
        console.say(f"| {name} | {' | '.join(spread(passes, key, digits) for key, digits in columns.values())} |")


def measure(folder: Path, rounds: int, tasks: list[str], packages: list[str]) -> None:
    """Print all tables."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "photos"
        generate(root)
        from resnet_exp.data.conversion.process import ConversionOptions
        from resnet_exp.data.streaming.files import MDSShards

        shards = MDSShards(**SHARDS, cache_dir=str(root.parent / "cache"))
        shards.prepare(str(root), ConversionOptions(os.cpu_count() or 1, lambda text: None))
        mean = sum(len(jpeg) for jpeg, _ in samples_of(folder_of(root))) / IMAGES
        console.say(f"{IMAGES} JPEGs of {mean:,.0f} bytes on average, batches of {BATCH}, {rounds} rounds")
        each = {OURS: (python_of(OURS, folder), OURS)}
        each |= {name: (python_of(name, folder), NORMAL) for name in packages}
        hybrid = {f"{name}, our decoding": (python_of(name, folder), HYBRID) for name in packages}
        cpu = {"CPU ms an image": ("cpu", 3), "wall ms an image": ("wall", 3)}
        if "write" in tasks:
            show("writing", in_turn("write", each, root, rounds), cpu)
        if "start" in tasks:
            columns = {"imports, s": ("import", 1), "imports, CPU s": ("import_cpu", 1), "first batch, s": ("first", 2)}
            columns |= {"MiB": ("memory", 0), "processes": ("processes", 0), "files in /dev/shm": ("shared", 0)}
            show("start", in_turn("start", each, root, rounds), columns)
        if "load" in tasks:
            show("loading", in_turn("load", {**each, **hybrid}, root, rounds), cpu)
        if "import" in tasks:
            show("import composer", import_composer(folder, rounds, packages), {"CPU s": ("cpu", 1)})


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    does = parser.add_subparsers(dest="does", required=True)
    does.add_parser("setup").add_argument("folder", type=Path)
    measuring = does.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--rounds", type=int, default=7)
    measuring.add_argument("--tasks", nargs="+", default=["write", "start", "load", "import"])
    measuring.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    serving = does.add_parser("serve")
    for name, kind in (("task", str), ("name", str), ("root", Path)):
        serving.add_argument(name, type=kind)
    options = parser.parse_args()
    if options.does == "setup":
        setup(options.folder.resolve())
    elif options.does == "serve":
        serve(options.task, options.name, options.root)
    else:
        measure(options.folder.resolve(), options.rounds, options.tasks, options.packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
