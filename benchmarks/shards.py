"""Compare shard formats: MDS read by this project and by mosaicml-streaming, WebDataset and LitData, without decoding.

    pip install webdataset litdata
    python benchmarks/shards.py

The same JPEGs in shards of each format, read in shuffled order in separate processes, in turn, one pass per round. The
first pass is not counted. CPU time covers all threads of the process. Start-up is wall time from a new reader to its
first sample, measured again at three quarters of the epoch (a resumed run).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_loaders import mosaicml_streaming

from resnet_exp.core.terminal import console

IMAGES, BYTES, BATCH, A_SHARD = 2048, 100_000, 64, 512
NAMES = ("MDS, this project", "MDS, mosaicml-streaming", "WebDataset", "LitData")


def samples() -> Iterator[tuple[bytes, int]]:
    """What stands for JPEGs: bytes that no compression makes smaller, between half and one and a half of `BYTES`."""
    import numpy as np

    random = np.random.default_rng(17)
    for number in range(IMAGES):
        yield random.bytes(int(random.integers(BYTES // 2, BYTES * 3 // 2))), number % 1000


def write(name: str, folder: Path) -> None:
    """Write the shards of a keeper."""
    if name == "MDS, this project":
        _write_ours(folder)
    elif name == "MDS, mosaicml-streaming":
        with mosaicml_streaming().MDSWriter(
            out=str(folder), columns={"x": "bytes", "y": "int"}, hashes=["blake2b"]
        ) as writer:
            for jpeg, label in samples():
                writer.write({"x": jpeg, "y": label})
    elif name == "WebDataset":
        import webdataset

        folder.mkdir()
        with webdataset.ShardWriter(f"{folder}/%05d.tar", maxcount=A_SHARD, verbose=0) as writer:
            for number, (jpeg, label) in enumerate(samples()):
                writer.write({"__key__": f"{number:07d}", "jpg": jpeg, "cls": label})
    else:
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(cache_dir=str(folder), chunk_bytes="64MB")
        for number, (jpeg, label) in enumerate(samples()):
            writer[number] = {"x": jpeg, "y": label}
        writer.done()
        writer.merge()


def _write_ours(folder: Path) -> None:
    from resnet_exp.data.streaming import mds

    folder.mkdir()
    entries, part = [], []
    for number, sample in enumerate(samples(), start=1):
        part.append(sample)
        if number % A_SHARD == 0:
            content, name = mds.shard_bytes(part), f"shard.{number // A_SHARD:05d}.mds"
            (folder / name).write_bytes(content)
            entries.append(mds.entry_of(name, content, len(part)))
            part = []
    mds.write_index(folder, entries)


class _Ours:
    """Batches of bytes as the loader reads them."""

    def __init__(self, folder: Path) -> None:
        from resnet_exp.data import block_shuffle
        from resnet_exp.data.streaming import loader, mds, shard_cache

        index = mds.read_index(folder / mds.INDEX, "x", "y")
        self._images = loader.ShardImages(shard_cache.ShardStore(folder, index, None, "train"), 1000)
        self._order = block_shuffle.of_epoch(self._images.starts, 1, 32768, 17, 0)[0]

    def batches(self, skip: int) -> Iterator[int]:
        for start in range(skip, len(self._order), BATCH):
            *_, labels = self._images._read(self._order[start : start + BATCH])
            yield len(labels)


class _Others:
    """Samples as each package's own data set yields them."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        if name == "MDS, mosaicml-streaming":
            self._data: Any = mosaicml_streaming().StreamingDataset(
                local=str(folder), shuffle=True, batch_size=BATCH, num_canonical_nodes=1
            )
        elif name == "WebDataset":
            import webdataset

            urls = [str(path) for path in sorted(folder.glob("*.tar"))]
            self._data = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(1000).to_tuple("jpg", "cls")
        else:
            import litdata

            self._data = litdata.StreamingDataset(str(folder), shuffle=True)

    def batches(self, skip: int) -> Iterator[int]:
        if skip and self._name == "MDS, mosaicml-streaming":
            self._data.load_state_dict(self._data.state_dict(skip, False))
        elif skip and self._name == "LitData":
            state = self._data.state_dict(skip, 0, BATCH)
            self._data.load_state_dict(state)
        for number, _ in enumerate(self._data):
            # WebDataset cannot seek: earlier samples are read and discarded.
            if number >= skip or self._name != "WebDataset":
                yield 1


def serve(name: str, folder: Path) -> None:
    """A keeper's process: a pass for each line of standard input; answers are lines of JSON."""

    def reader() -> Any:
        return _Ours(folder) if name == NAMES[0] else _Others(name, folder)

    whole = reader()
    sum(whole.batches(0))
    _answer({})
    for _ in sys.stdin:
        busy = time.process_time()
        count = sum(whole.batches(0))
        answer = {"cpu": 1e6 * (time.process_time() - busy) / count, "count": count}
        for key, skip in (("start", 0), ("resume", IMAGES * 3 // 4)):
            began = time.monotonic()
            next(reader().batches(skip))
            answer[key] = 1000 * (time.monotonic() - began)
        _answer(answer)


def _answer(numbers: dict[str, float]) -> None:
    sys.stdout.write(f"answer {json.dumps(numbers)}\n")
    sys.stdout.flush()


def _ask(process: subprocess.Popen[str], line: str) -> dict[str, float]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    for said in process.stdout:
        if said.startswith("answer "):
            return json.loads(said.partition(" ")[2])
    raise RuntimeError("the process ended")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} [{min(values):.0f}-{max(values):.0f}]"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="passes of each keeper that are counted")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.folder)
        return 0
    raw = sum(len(jpeg) for jpeg, _ in samples())
    with tempfile.TemporaryDirectory() as place:
        processes = {}
        for number, name in enumerate(NAMES):
            folder = Path(place) / str(number)
            write(name, folder)
            command = [sys.executable, __file__, "--serve", name, "--folder", str(folder)]
            environ = {**os.environ, "OMP_NUM_THREADS": "1"}
            pipe = subprocess.PIPE
            processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ)
            _ask(processes[name], "")
        found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
        for number in range(options.rounds):
            console.status(f"round {number + 1} of {options.rounds}")
            for name, process in processes.items():
                found[name].append(_ask(process, "\n"))
        for process in processes.values():
            process.communicate()
        console.say(f"{IMAGES} samples of {raw / IMAGES:,.0f} bytes on average")
        console.say(f"{'':<26}{'CPU us a sample':>20}{'start, ms':>20}{'start at 3/4, ms':>22}{'bytes more, %':>15}")
        for number, name in enumerate(NAMES):
            there = sum(path.stat().st_size for path in (Path(place) / str(number)).rglob("*") if path.is_file())
            columns = [_spread([answer[key] for answer in found[name]]) for key in ("cpu", "start", "resume")]
            more = 100 * (there / raw - 1)
            console.say(f"{name:<26}{columns[0]:>20}{columns[1]:>20}{columns[2]:>22}{more:>15.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
