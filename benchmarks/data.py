"""How much of a processor the loaders take: CPU time an image, ours against what others offer.

    python benchmarks/data.py                       a table; about 5 minutes on two cores
    python benchmarks/data.py -o docs/loading.svg   and its picture

Each loader lives in a process of its own and works through the same generated photographs (500x375 pixels, JPEG) in
turn with the others, one pass a round, without help of other processes. The CPU time is that of all its threads. The
first pass of each, which compiles, is not counted; ``--startup`` measures what comes before it.
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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from resnet_exp import console

IMAGES, BATCH, FULL, SMALL = 256, 64, 176, (88, 128)
MODES = ("proportion", "raw", "jpg")
MEAN_BYTES = 110_000
FILES = {"train_file": None, "val_file": None, "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}
NAMES = (
    *(f"ours, ffcv {mode}, full {FULL}" for mode in MODES),
    *(f"ours, ffcv {mode}, scheduled {side}" for mode in MODES for side in SMALL),
    *(f"FFCV's own, {mode}, {FULL}" for mode in MODES),
    f"ours, ffcv proportion, full {FULL}, RandAugment",
    f"ours, imagefolder, full {FULL}",
    f"ours, imagefolder, scheduled {SMALL[0]}",
    f"torchvision ImageFolder, {FULL}",
    f"torchvision.io, {FULL}",
    "floor: libjpeg-turbo alone",
)


def generate(root: Path) -> float:
    """Write photographs with grain, two classes; returns the mean size of a file in bytes."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_image

    random, sizes = np.random.default_rng(17), []
    for number in range(IMAGES + 8):
        photo = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[number % 2]))
        left, top = random.integers(0, 240), random.integers(0, 127)
        tile = np.asarray(photo.crop((left, top, left + 400, top + 300)).resize((500, 375)), np.float32)
        grain = random.normal(0, 9, tile.shape[:2])[..., None]
        folder = root / ("val" if number < 8 else "train") / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:04d}.jpg"
        Image.fromarray(np.clip(tile + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
        sizes.append(path.stat().st_size)
    return statistics.fmean(sizes)


def make(name: str, root: Path) -> Callable[[], int]:
    """A function that works through the images once and returns how many they were."""
    if name.startswith("floor"):
        return _floor(root)
    if name.startswith("ours"):
        return _ours(name, root)
    return _stock(name, root) if name.startswith("FFCV") else _torchvision(name, root)


def _counted(batches: Iterable[Any]) -> int:
    return sum(len(labels) for _, labels in batches)


def _settings(name: str, root: Path) -> dict[str, Any]:
    (mode,) = [mode for mode in MODES if f"{mode}," in name]
    return {**FILES, "write_mode": mode, "cache_dir": str(root.parent / "cache")}


def _ours(name: str, root: Path) -> Callable[[], int]:
    from resnet_exp.data.contract import Split

    side = int(name.split(",")[-1 if "RandAugment" not in name else -2].split()[-1])
    split = Split(
        train=True, root=str(root), classes=2, batch_size=BATCH, crop=FULL, resize=232, crop_scale=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=17, rank=0, world_size=1, num_workers=0, prefetch_factor=2,
        on_gpu=False, side_at=(lambda epoch, batch, batches: side) if "scheduled" in name else None,
    )  # fmt: skip
    if "imagefolder" in name:
        from resnet_exp.data import imagefolder

        loader: Any = imagefolder.make_loader(split)
    else:
        from resnet_exp.data import ffcv

        loader = ffcv.make_loader(split, os_cache=True, **_settings(name, root))
        if "RandAugment" in name:
            loader.randaugment("all", 10, 1)
    return lambda: _counted(loader)


def _stock(name: str, root: Path) -> Callable[[], int]:
    from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    from resnet_exp.data.ffcv_files import place_of

    image = [RandomResizedCropRGBImageDecoder((FULL, FULL)), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    loader = Loader(
        str(place_of(str(root), "train", _settings(name, root))),
        batch_size=BATCH,
        num_workers=1,
        order=OrderOption.RANDOM,
        os_cache=True,
        pipelines={"image": image, "label": [IntDecoder(), ToTensor()]},
    )
    return lambda: _counted(loader)


def _torchvision(name: str, root: Path) -> Callable[[], int]:
    import torch
    from torch.utils.data import DataLoader
    from torchvision import io
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = [v2.RandomResizedCrop(FULL, antialias=True), v2.RandomHorizontalFlip()]
    if name.startswith("torchvision.io"):
        dataset = ImageFolder(str(root / "train"), v2.Compose(steps), loader=io.decode_image)  # pyright: ignore
    else:
        dataset = ImageFolder(str(root / "train"), v2.Compose([*steps, v2.PILToTensor()]))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True)
    return lambda: _counted(loader)


def _floor(root: Path) -> Callable[[], int]:
    import numpy as np
    from ffcv.libffcv import ctypes_imdecode

    files = [np.fromfile(path, np.uint8) for path in sorted((root / "train").rglob("*.jpg"))]
    out = np.empty((375, 500, 3), np.uint8)

    def decode() -> int:
        for file in files:
            ctypes_imdecode(file.ctypes.data, file.size, 375, 500, out.ctypes.data, 375, 500, 0, 0, 1, 1, False, False)
        return len(files)

    return decode


def _answer(numbers: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(numbers) + "\n")
    sys.stdout.flush()


def serve(name: str, root: Path) -> None:
    """A loader's process: a pass for each line of standard input; answers are lines of JSON."""
    os.environ["OMP_NUM_THREADS"] = "1"
    # Imports are not what is measured.
    if name.startswith("ours"):
        import resnet_exp.data.ffcv
        import resnet_exp.data.imagefolder  # noqa: F401
    else:
        import ffcv.loader  # noqa: F401
        import torchvision  # noqa: F401
    began, busy = time.monotonic(), time.process_time()
    work = make(name, root)
    work()
    first = {"first_pass": time.monotonic() - began, "first_cpu": time.process_time() - busy}
    _answer(first)
    for _ in sys.stdin:
        busy, began = time.process_time(), time.monotonic()
        images = work()
        cpu, wall = time.process_time() - busy, time.monotonic() - began
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        _answer({"cpu": cpu / images, "wall": wall / images, "memory": memory})


def begin(name: str, root: Path, cache: Path) -> subprocess.Popen[str]:
    """Start a loader's process; compiled code is kept in `cache`."""
    command = [sys.executable, __file__, "--serve", name, "--root", str(root)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process: subprocess.Popen[str], line: str | None = "\n") -> dict[str, float]:
    """The next answer of a loader's process."""
    assert process.stdin is not None and process.stdout is not None
    if line is not None:
        process.stdin.write(line)
        process.stdin.flush()
    return json.loads(process.stdout.readline())


def measure(root: Path, rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds an image, one number a round, of every loader in turn."""
    processes = {}
    for name in NAMES:
        # One after the other: the first compiles for all.
        processes[name] = begin(name, root, root.parent / "numba")
        ask(processes[name], None)
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(rounds):
        for name, process in processes.items():
            found[name].append(1000 * ask(process)["cpu"])
    for process in processes.values():
        process.communicate()
    return found


def startup(root: Path, rounds: int) -> None:
    """Print seconds from the end of the imports to the end of the first pass, in a first and in a second run."""
    console.say(f"\n{'seconds to the end of the first pass':<48}{'first run':>16}{'second run':>16}")
    for name in (f"ours, ffcv proportion, full {FULL}", f"FFCV's own, proportion, {FULL}"):
        columns: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for column in columns:
                process = begin(name, root, root.parent / f"startup{number}")
                column.append(ask(process, None)["first_pass"])
                process.communicate()
        console.say(f"{name:<48}" + "".join(f"{_spread(column):>16}" for column in columns))


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def show(found: dict[str, list[float]]) -> None:
    """Print the table."""
    console.say(f"{'loader':<48}{'CPU ms an image':>22}{'images/s a core':>17}{'FFCV own / this':>18}")
    for name, values in found.items():
        modes = [mode for mode in MODES if f" {mode}," in name]
        reference = found.get(f"FFCV's own, {modes[0]}, {FULL}" if modes else "", [])
        ratios = [theirs / ours for theirs, ours in zip(reference, values, strict=False)]
        ratio = _spread(ratios) if ratios else ""
        console.say(f"{name:<48}{_spread(values):>22}{1000 / statistics.median(values):>17,.0f}{ratio:>18}")


def draw(found: dict[str, list[float]], path: Path) -> None:
    """Draw the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    middles = [statistics.median(values) for values in found.values()]
    spread = [[middle - min(v) for middle, v in zip(middles, found.values(), strict=True)],
              [max(v) - middle for middle, v in zip(middles, found.values(), strict=True)]]  # fmt: skip
    colours = ["#0072B2" if name.startswith("ours") else "#999999" for name in found]
    axes.barh(list(found), middles, xerr=spread, color=colours, ecolor="#333333")
    axes.invert_yaxis()
    axes.set(xlabel="CPU milliseconds an image (median, range of the rounds); 500x375 px JPEGs")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="passes of each loader that are counted")
    parser.add_argument("--startup", action="store_true", help="measure the start instead")
    parser.add_argument("-o", "--output", type=Path, help="picture to write")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.root)
        return 0
    from resnet_exp.data import ffcv_files

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        console.say(f"{IMAGES} photographs of {generate(root):,.0f} bytes on average, {options.rounds} rounds")
        for mode in MODES:
            settings = {**FILES, "write_mode": mode, "cache_dir": str(root.parent / "cache")}
            ffcv_files.prepare(str(root), settings, workers=os.cpu_count() or 1, say=lambda text: None)
        if options.startup:
            startup(root, options.rounds)
            return 0
        found = measure(root, options.rounds)
        show(found)
        if options.output:
            draw(found, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
