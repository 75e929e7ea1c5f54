"""Where `mds_faults.py` tries what goes wrong: photographs, our shards of them, processes, an object store."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mds import OURS

READER = Path(__file__).with_name("mds_reader.py")
IMAGES = 250
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
# Seconds for a process, and for one that waits for a store.
PATIENCE, LONG = 150, 600


@dataclass
class Place:
    """A place for one try: `cache` has our shards in it, `shards` is their folder of training."""

    root: Path
    name: str
    python: str
    remote: str | None = None
    hashes: bool = False
    before: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """Of our conversion."""
        return self.root / "cache"

    @property
    def shards(self) -> Path:
        """Shards of training."""
        return next((self.cache / "mds").glob("*/train"))

    def begin(self, does: str = "read") -> subprocess.Popen[str]:
        """Start a reader or writer."""
        words = {"name": self.name, "root": str(self.root), "remote": self.remote, "hashes": self.hashes}
        environ = {**os.environ, **KEYS, "TMPDIR": str(self.root), "OMP_NUM_THREADS": "1", **self.environ}
        return subprocess.Popen(
            [*self.before, self.python, str(READER), does, json.dumps(words)], stdout=subprocess.PIPE,
            stderr=(self.root / "errors").open("a"), text=True, env=environ, start_new_session=True,
        )  # fmt: skip

    def outcome(self, process: subprocess.Popen[str], patience: float = PATIENCE) -> str:
        """How it ended, in words."""
        began = time.monotonic()
        try:
            said, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"hangs, {patience:g} s and more"
        took = time.monotonic() - began
        waited = f" after {took:.0f} s" if took > 100 else ""
        answers = [json.loads(line.partition(" ")[2]) for line in said.splitlines() if line.startswith("answer ")]
        if process.returncode or not answers:
            return f"{_last_error(self.root / 'errors', process.returncode)}{waited}"
        return _judged(answers[-1], self) + waited


CLEAN: dict[str, Any] = {}
CHANGED = "**wrong data**: {} images changed, no error"


def _judged(found: dict[str, Any], place: Place) -> str:
    if not found:
        return "done"
    clean = CLEAN.setdefault(place.name, found)
    if found == clean:
        return "reads all"
    if found["labels"] != clean["labels"]:
        return f"**wrong data**: {len(set(found['labels']))} of {len(set(clean['labels']))} images seen, no error"
    changed = sum(ours != theirs for ours, theirs in zip(found["pixels"], clean["pixels"], strict=True))
    return CHANGED.format(changed)


def _last_error(path: Path, code: int) -> str:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    kinds = [line for line in lines if "Error" in line.partition(":")[0] or "Exception" in line.partition(":")[0]]
    line = (kinds or lines or [""])[-1].replace("|", "/")
    return f"exit {code}, {len(lines)} lines, `{line[:170]}`"


class Store:
    """An object store that speaks S3; `stalls` are ends of names that it never answers for."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self.stalls: tuple[str, ...] = ()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        web: Any = self._server._server
        app = web.app

        def answer(environ: dict[str, Any], start: Any) -> Any:
            if self.stalls and environ["PATH_INFO"].endswith(self.stalls):
                time.sleep(2 * LONG)
            return app(environ, start)

        web.app = answer
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client: Any = self._client()

    def _client(self) -> Any:
        import boto3

        names = ("aws_access_key_id", "aws_secret_access_key", "region_name")
        return boto3.client("s3", endpoint_url=self.url, **dict(zip(names, KEYS.values(), strict=True)))

    def fill(self, bucket: str, place: Place) -> None:
        """Put the shards of a place into a bucket, as our conversion uploads them."""
        self.client.create_bucket(Bucket=bucket)
        base = place.shards.parent
        for path in base.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                self.client.upload_file(str(path), bucket, f"set/{path.relative_to(base)}")
        shutil.rmtree(place.cache)
        place.remote = f"s3://{bucket}/set"
        place.environ = {"S3_ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL": self.url}

    def change(self, place: Place, change: Callable[[Path], None], of: str = "shard.00003.mds") -> None:
        """Change an object."""
        assert place.remote is not None
        bucket, copy = urlparse(place.remote).netloc, place.root / "object"
        self.client.download_file(bucket, f"set/train/{of}", str(copy))
        change(copy)
        self.client.upload_file(str(copy), bucket, f"set/train/{of}")


@contextmanager
def tree() -> Iterator[Path]:
    """A folder with `IMAGES` small photographs, each of its own class, and our shards of them."""
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        random, root = np.random.default_rng(17), Path(folder) / "first"
        for number in range(IMAGES):
            for split in ("train", "val"):
                path = root / "photos" / split / f"{number:04d}" / "image.jpg"
                path.parent.mkdir(parents=True)
                Image.fromarray(random.integers(0, 256, (64, 96, 3), np.uint8)).save(path, quality=90)
        Place(root, OURS, sys.executable).begin("write").communicate()
        yield root
