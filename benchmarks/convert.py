"""What a conversion costs: ours, FFCV's own writer, and the floor: decode, resize and encode alone, writing nothing.

    python benchmarks/convert.py [--images 1000] [--rounds 5] [--workers 1] [--modes raw jpg] [--sizes 500 400]

CPU time of all processes of a conversion over its images, without start-up and imports, in milliseconds. Rounds are
interleaved: each contender once a round, in turn. `floor` uses Pillow and OpenCV, as FFCV does; `floor, OpenCV` decodes
with OpenCV too, as ours does where it gives the same pixels. The images are parts of two photographs, 500x375 pixels
and some 110 KB each, the median of ImageNet.
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
from collections.abc import Callable
from pathlib import Path

from resnet_exp.core.terminal import console

WIDTH, HEIGHT, QUALITY = 500, 375, 97
Contender = Callable[[Path, Path, str, int, int], None]


def write_images(folder: Path, count: int) -> float:
    """Write a class folder of JPEGs; returns their mean size in bytes."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_image

    folder.mkdir(parents=True)
    photos = [Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")]
    random = np.random.default_rng(17)
    sizes = []
    for number in range(count):
        photo = photos[number % 2]
        left, top = (int(random.integers(0, room + 1)) for room in (photo.width - WIDTH, photo.height - HEIGHT))
        file = folder / f"{number:05d}.jpg"
        photo.crop((left, top, left + WIDTH, top + HEIGHT)).save(file, quality=QUALITY)
        sizes.append(file.stat().st_size)
    return statistics.mean(sizes)


def ours(source: Path, target: Path, mode: str, longest: int, workers: int) -> None:
    """This project's writer."""
    from resnet_exp.data import writer
    from resnet_exp.data.conversion.process import WriterPlace, WriterRequest
    from resnet_exp.data.ffcv.files import KIND

    settings: dict[str, object] = {
        "write_mode": mode,
        "max_resolution": longest,
        "compress_probability": 0.5,
        "jpeg_quality": 90,
    }
    places = (WriterPlace(str(source), str(target), f"{target}.partial"),)
    writer.write(WriterRequest(KIND.conversion, places, settings, str(target.parent), workers, 0, 60))


def ours_undecoded(source: Path, target: Path, mode: str, longest: int, workers: int) -> None:
    """This project's writer with JPEGs that are not decoded, whatever `mode` is."""
    del mode
    ours(source, target, "source", longest, workers)


def original(source: Path, target: Path, mode: str, longest: int, workers: int) -> None:
    """FFCV's own writer, with images as torchvision's ``ImageFolder`` decodes them."""
    import multiprocessing

    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.rgb_image import IMAGE_MODES
    from ffcv.writer import DatasetWriter
    from torchvision.datasets import ImageFolder

    # Else each worker compiles its access to this dictionary: half a second, which belongs to the start.
    assert "raw" in IMAGE_MODES and IMAGE_MODES["raw"] == 1
    field = RGBImageField(write_mode=mode, max_resolution=longest, compress_probability=0.5, jpeg_quality=90)
    writer = DatasetWriter(str(target), {"image": field, "label": IntField()}, num_workers=workers)
    writer.from_indexed_dataset(ImageFolder(str(source)), chunksize=16)
    # It does not wait for its workers, whose time would not be counted.
    for process in multiprocessing.active_children():
        process.join()


def floor(decode: Callable[[str], object]) -> Contender:
    """Decode, resize and encode in one process, in the way of `decode`; the encoded images are thrown away."""

    def run(source: Path, target: Path, mode: str, longest: int, workers: int) -> None:
        del target, workers
        import cv2

        cv2.setNumThreads(0)
        for number, file in enumerate(sorted(source.rglob("*.jpg"))):
            image = decode(str(file))
            ratio = min(1.0, longest / max(image.shape[:2]))
            if ratio < 1:
                size = (int(ratio * image.shape[1]), int(ratio * image.shape[0]))
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            if mode == "jpg" or (mode == "proportion" and number % 2):
                cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])

    return run


def _with_pillow(file: str) -> object:
    import numpy as np
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _with_opencv(file: str) -> object:
    import cv2

    return cv2.imread(file, cv2.IMREAD_COLOR)


CONTENDERS: dict[str, Contender] = {
    "ours": ours,
    "ours, source": ours_undecoded,
    "ffcv": original,
    "floor": floor(_with_pillow),
    "floor, OpenCV": floor(_with_opencv),
}


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure_here(name: str, source: Path, folder: Path, mode: str, longest: int, workers: int) -> None:
    """Carry out one contender in this process and print CPU and wall seconds; a few images first, for the imports."""
    few = folder / "few"
    (few / "class").mkdir(parents=True)
    for file in sorted(source.rglob("*.jpg"))[:8]:
        os.link(file, few / "class" / file.name)
    CONTENDERS[name](few, folder / "few.ffcv", mode, longest, 1)
    cpu, wall = _cpu_seconds(), time.perf_counter()
    CONTENDERS[name](source, folder / "all.ffcv", mode, longest, workers)
    console.say(json.dumps([_cpu_seconds() - cpu, time.perf_counter() - wall]))


def measure(name: str, source: Path, mode: str, longest: int, workers: int) -> tuple[float, float]:
    """CPU and wall seconds of one contender in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [name, str(source), folder, mode, str(longest), str(workers)]
        line = [sys.executable, __file__, "--one", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
    cpu, wall = json.loads(done.stdout.splitlines()[-1])
    return cpu, wall


def spread(values: list[float], digits: int) -> str:
    """``median [least-most]``."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def compare(source: Path, images: int, mode: str, longest: int, args: argparse.Namespace) -> None:
    """Print a row a contender: CPU ms an image, images/s, and the ratio to the floor within each round."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(args.rounds):
        for name in CONTENDERS:
            taken[name].append(measure(name, source, mode, longest, args.workers))
    for name, pairs in taken.items():
        cost = spread([cpu / images * 1e3 for cpu, _ in pairs], 2)
        ratios = [base / cpu for (cpu, _), (base, _) in zip(pairs, taken["floor"], strict=True)]
        speed = spread([images / wall for _, wall in pairs], 0)
        console.say(f"| {mode} {longest} | {name} | {cost} | {spread(ratios, 2)} | {speed} |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--modes", nargs="+", default=["raw", "jpg", "proportion"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[500, 400])
    args = parser.parse_args()
    if args.one:
        name, source, folder, mode, longest, workers = args.one
        measure_here(name, Path(source), Path(folder), mode, int(longest), int(workers))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "images"
        mean = write_images(source / "class", args.images)
        console.say(f"{args.images} images of {mean / 1e3:.0f} KB, {args.workers} worker(s), {args.rounds} rounds")
        console.say("| file | writer | CPU ms/image | times the floor | images/s |\n| --- | --- | --- | --- | --- |")
        for mode in args.modes:
            for longest in args.sizes:
                compare(source, args.images, mode, longest, args)


if __name__ == "__main__":
    main()
