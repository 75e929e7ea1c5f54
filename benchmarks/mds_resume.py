"""Which images are seen after a stop in the middle of an epoch, and in an evaluation: our shards and the packages'.

    python benchmarks/mds.py setup DIR          once
    python benchmarks/mds_resume.py DIR         a table in Markdown; 5 minutes

An epoch of 250 images, each of its own class, in batches of 20 of all ranks, is stopped after 5 batches. It goes on in
new processes: of the packages from `StreamingDataLoader.state_dict`, of ours from the number of batches, which is what
a checkpoint has. A batch is the same if it has the same images, whatever rank has them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from mds import OURS, PACKAGES, python_of
from mds_place import IMAGES, READER, tree

from resnet_exp.core.terminal import console

GLOBAL_BATCH, STOP = 20, 5
Batches = list[list[int]]


@dataclass(frozen=True)
class Shape:
    """Ranks on one machine, and workers of each."""

    ranks: int
    workers: int

    def __str__(self) -> str:
        return f"{self.ranks} x {self.workers}"


FIRST = Shape(1, 2)
LATER = (FIRST, Shape(1, 3), Shape(2, 2), Shape(4, 1))


def run(python: str, name: str, root: Path, shape: Shape, **words: Any) -> tuple[Batches, Any]:
    """Labels of all global batches of a run, and the state of rank 0 at its end."""
    common = {"name": name, "root": str(root), "remote": None, "workers": shape.workers, **words}
    text = json.dumps({**common, "batch": GLOBAL_BATCH // shape.ranks})
    processes = []
    for rank in range(shape.ranks):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": shape.ranks, "LOCAL_WORLD_SIZE": shape.ranks}
        own = {**{key: str(value) for key, value in places.items()}, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
        environ = {**os.environ, **own, "TMPDIR": str(root), "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                [python, str(READER), "order", text], stdout=subprocess.PIPE, text=True, env=environ,
                stderr=(root / "errors").open("a"),
            )
        )  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit((root / "errors").read_text()[-3000:])
    answers = [
        json.loads(line.partition(" ")[2])
        for each in said for line in each.splitlines() if line.startswith("answer ")
    ]  # fmt: skip
    batches = [sorted(chain(*ranks)) for ranks in zip(*(answer["batches"] for answer in answers), strict=True)]
    return batches, answers[0]["state"]


def resumed(python: str, name: str, root: Path, shape: Shape) -> str:
    """A row: what is seen if a run goes on in another shape."""
    whole, _ = run(python, name, root, FIRST)
    begun, state = run(python, name, root, FIRST, stop=STOP)
    rest, _ = run(python, name, root, shape, state=state)
    after = whole[STOP:]
    same = sum(ours == theirs for ours, theirs in zip(rest, after, strict=False))
    seen = Counter(chain(*begun, *rest))
    twice = sum(count - 1 for count in seen.values())
    in_whole = len(set(chain(*whole)))
    return f"{same} of {len(after)} | {len(seen)} of {in_whole} | {twice}"


def evaluated(python: str, name: str, root: Path, shape: Shape) -> str:
    """A row: what an evaluation sees."""
    batches, _ = run(python, name, root, shape, train=False)
    seen = Counter(chain(*batches))
    return f"| | {len(seen)} of {IMAGES} | {sum(count - 1 for count in seen.values())}"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the environments")
    options = parser.parse_args()
    console.say("| who | goes on as, ranks x workers | same batches | images seen | seen again |")
    console.say("| --- | --- | --- | --- | --- |")
    with tree() as root:
        for name in (OURS, *PACKAGES):
            python = python_of(name, options.folder.resolve())
            for shape in LATER:
                console.say(f"| {name} | {shape} | {resumed(python, name, root, shape)} |")
            console.say(f"| {name} | evaluation, {LATER[-1]} {evaluated(python, name, root, LATER[-1])} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
