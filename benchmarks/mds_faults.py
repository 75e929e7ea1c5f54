"""What our code for MDS shards and the packages whose format it is do where something goes wrong, and after a stop.

    python benchmarks/mds.py setup DIR          once
    python benchmarks/mds_faults.py DIR         a table in Markdown; 20 minutes, most of them waiting; needs root

Each of 250 images is a class of its own, so labels say which were seen. The packages read with two workers of torch's
loader and, where it says so, ``validate_hash``. The object store is moto. A data set that ends without an error and
is not what was written is "wrong data". Root is needed for a file system that is only read, and to be without /dev/shm.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

from mds import OURS, PACKAGES, python_of
from mds_place import CHANGED, IMAGES, LONG, PATIENCE, Place, Store, tree

from resnet_exp.core.terminal import console


def _shards(place: Place) -> list[Path]:
    return sorted(place.shards.glob("*.mds"))


def truncated(place: Place) -> str:
    """A shard without its last bytes."""
    os.truncate(_shards(place)[3], _shards(place)[3].stat().st_size - 1000)
    return place.outcome(place.begin())


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-300] ^= 0x40
    path.write_bytes(content)


def flipped(place: Place) -> str:
    """A flipped bit in every shard: no start checks them all unless it checks the one that it reads."""
    for shard in _shards(place):
        _flip(shard)
    return place.outcome(place.begin())


def missing(place: Place) -> str:
    """A shard that is not there."""
    _shards(place)[3].unlink()
    return place.outcome(place.begin())


def cut_index(place: Place) -> str:
    """Half an index."""
    index = place.shards / "index.json"
    os.truncate(index, index.stat().st_size // 2)
    return place.outcome(place.begin())


def wrong_index(place: Place) -> str:
    """An index that says a sample fewer of a shard."""
    index = place.shards / "index.json"
    content = json.loads(index.read_text())
    content["shards"][3]["samples"] -= 1
    index.write_text(json.dumps(content))
    return place.outcome(place.begin())


def _held(place: Place) -> subprocess.Popen[str]:
    """A run that has its first batch, and stays there."""
    process = place.begin("hold")
    assert process.stdout is not None
    if not process.stdout.readline():
        sys.exit(f"the first run failed: {(place.root / 'errors').read_text()}")
    return process


def _shared() -> set[str]:
    """What the packages have in /dev/shm: names that begin with six digits."""
    return {name for name in os.listdir("/dev/shm") if re.match(r"\d{6}_", name)}


def two_at_once(place: Place) -> str:
    """Two runs at once on the same shards; what the second says."""
    first = _held(place)
    answer = place.outcome(place.begin())
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    return answer


def killed(place: Place) -> str:
    """A run after one that `kill -9` ended, with another TMPDIR; what is left in /dev/shm."""
    before = _shared()
    first = _held(place)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    left = _shared() - before
    # As a job of SLURM or another user has.
    (place.root / "temporary").mkdir()
    place.environ["TMPDIR"] = str(place.root / "temporary")
    answer = place.outcome(place.begin())
    still = _shared() - before
    return f"{answer}; left in /dev/shm: {len(left)}, after the next run {len(still)}"


def _within(place: Place, mount: str) -> str:
    place.before = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    return place.outcome(place.begin())


def read_only(place: Place) -> str:
    """Shards in a file system that is only read."""
    at = place.cache
    return _within(place, f"mount --bind '{at}' '{at}' && mount -o remount,bind,ro '{at}'")


def no_shm(place: Place) -> str:
    """/dev/shm that takes nothing, as in a container without it."""
    return _within(place, "mount -t tmpfs -o ro none /dev/shm")


def rerun(place: Place) -> str:
    """A conversion that is killed half-way, and given again."""
    shutil.rmtree(place.cache)
    first = place.begin("write")
    deadline = time.monotonic() + PATIENCE
    while len(list(place.root.rglob("*.mds"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    time.sleep(1)
    times = {path.name: path.stat().st_mtime_ns for path in place.root.rglob("*.mds")}
    answer = place.outcome(place.begin("write"))
    kept = sum(path.stat().st_mtime_ns == times.get(path.name) for path in place.root.rglob("*.mds"))
    return f"{answer}; {kept} of {len(times)} shards kept"


def bad_image(place: Place) -> str:
    """A conversion that an unreadable image ends; whether what is there looks complete."""
    shutil.rmtree(place.cache)
    next((place.root / "photos" / "train" / "0200").iterdir()).write_bytes(b"no image")
    answer = place.outcome(place.begin("write"))
    indexes = [json.loads(path.read_text()) for path in place.root.rglob("train/index.json")]
    images = sum(shard["samples"] for index in indexes for shard in index["shards"])
    there = f"**an index of {images} of {IMAGES} images is there**" if indexes else "no index"
    return f"{answer}; {there}"


LOCAL: dict[str, Callable[[Place], str]] = {
    "nothing": lambda place: place.outcome(place.begin()),
    "shard cut off": truncated,
    "a bit flipped in every shard": flipped,
    "shard gone": missing,
    "half an index": cut_index,
    "index with one sample too few": wrong_index,
    "two runs at once": two_at_once,
    "a run after `kill -9`, another TMPDIR": killed,
    "file system that is only read": read_only,
    "no /dev/shm": no_shm,
    "conversion killed, given again": rerun,
    "conversion meets an unreadable image": bad_image,
}


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def remote_changed(store: Store, change: Callable[[Path], None], place: Place) -> str:
    """A shard in the store that is not what was written."""
    store.change(place, change)
    return place.outcome(place.begin(), LONG)


def remote_missing(store: Store, place: Place) -> str:
    """A shard that the store does not have."""
    store.client.delete_object(Bucket=urlparse(place.remote or "").netloc, Key="set/train/shard.00003.mds")
    return place.outcome(place.begin(), LONG)


def remote_renewed(store: Store, place: Place) -> str:
    """Other images under the same URL, after a run has fetched the first ones."""
    first = place.outcome(place.begin())
    other = place.root / "other"
    assert place.remote is not None
    bucket = urlparse(place.remote).netloc
    shutil.copytree(place.root / "photos", other / "photos")
    one, two = (next((other / "photos" / "train" / name).iterdir()) for name in ("0003", "0004"))
    one.write_bytes(two.read_bytes())
    written = Place(other, OURS, sys.executable)
    written.begin("write").communicate()
    for path in written.shards.parent.rglob("*"):
        if path.is_file():
            store.client.upload_file(str(path), bucket, f"set/{path.relative_to(written.shards.parent)}")
    second = place.outcome(place.begin())
    told = {"reads all": "**the old images, no error**", CHANGED.format(1): "the new images"}
    return f"first {first}; then {told.get(second, second)}"


def stalling(store: Store, place: Place) -> str:
    """A store that does not answer for shards."""
    store.stalls = (".mds",)
    answer = place.outcome(place.begin(), LONG)
    store.stalls = ()
    return answer


def remote_cases(store: Store) -> dict[str, Callable[[Place], str]]:
    """What can be wrong with a store."""
    return {
        "store: nothing": lambda place: place.outcome(place.begin()),
        "store: shard cut off": partial(remote_changed, store, _cut),
        "store: a bit flipped": partial(remote_changed, store, _flip),
        "store: shard gone": partial(remote_missing, store),
        "store: other images under the same URL": partial(remote_renewed, store),
        "store: two runs at once": two_at_once,
        "store: a run after `kill -9`, another TMPDIR": killed,
        "store: no answer for shards": partial(stalling, store),
    }


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the environments")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of what goes wrong")
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    options = parser.parse_args()
    with tree() as first:
        # Every try has the same path, by which our conversion is found.
        pristine, store = first.rename(first.with_name("pristine")), Store()
        cases = {**LOCAL, **remote_cases(store)}
        contenders = [(OURS, False), *((name, hashes) for name in options.packages for hashes in (False, True))]
        console.say("| what goes wrong | who | outcome |\n| --- | --- | --- |")
        for number, (title, case) in enumerate(cases.items()):
            for name, hashes in contenders:
                if not any(part in title for part in options.only) and title != "nothing":
                    continue
                if hashes and not title.startswith(("store", "a bit")):
                    continue
                shutil.copytree(pristine, first)
                place = Place(first, name, python_of(name, options.folder.resolve()), hashes=hashes)
                if title.startswith("store"):
                    store.fill(f"case{number}-{name}-{hashes}".lower(), place)
                who = f"{name}, validate_hash" if hashes else name
                before = _shared()
                console.say(f"| {title} | {who} | {case(place)} |")
                for left in _shared() - before:
                    Path("/dev/shm", left).unlink()
                shutil.rmtree(first, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
