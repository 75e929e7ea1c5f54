"""The upload of MDS shards to an object store; one that was interrupted continues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core import files
from resnet_exp.core.object_store import Remote
from resnet_exp.core.records import is_object
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.process import Say
from resnet_exp.data.streaming import mds
from resnet_exp.data.streaming.files import MDSShards
from resnet_exp.data.streaming.shard_cache import AT_ONCE

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class _Upload:
    """The upload of one split."""

    remote: Remote
    split: str
    place: Path
    index: mds.Index

    @property
    def journal(self) -> Path:
        """JSON lines beside the folder: a hash of target and shards, then a line for each uploaded shard."""
        return self.place.with_name(f".{self.place.name}.uploaded")

    def head(self) -> dict[str, str]:
        """The first line of the journal, which identifies this upload."""
        # A hash, since options may be secrets.
        where = hashlib.sha256(json.dumps([self.remote.url, self.remote.options]).encode())
        where.update((self.place / mds.INDEX).read_bytes())
        return {"upload": where.hexdigest()}

    def missing(self) -> list[mds.Shard]:
        """Shards that no earlier try has uploaded, or that have been removed since."""
        lines = files.whole_lines(self.journal)
        noted = {line["shard"] for line in lines if is_object(line)} if next(lines, None) == self.head() else set[str]()
        sizes = self.remote.sizes(self.split) if noted else {}
        missing = [
            shard for shard in self.index.shards if shard.name not in noted or sizes.get(shard.name) != shard.bytes
        ]
        done = noted.difference(shard.name for shard in missing)
        files.write_lines(self.journal, [self.head(), *({"shard": name} for name in sorted(done))])
        return missing

    def put(self, shard: mds.Shard) -> mds.Shard:
        """Upload a shard."""
        self.remote.put(f"{self.split}/{shard.name}", self.place / shard.name)
        return shard

    def finish(self) -> None:
        """Upload what makes the split readable."""
        self.remote.put(f"{self.split}.json", manifests.path_of(self.place))
        self.remote.put(f"{self.split}/{mds.INDEX}", self.place / mds.INDEX)
        self.journal.unlink()


def check_target(shards: MDSShards) -> None:
    """Check the store before the conversion, which can take hours.

    Raises:
        RequestError: the URL or an option is wrong, or there is no right to read.
        RunFailed: it cannot be reached.
    """
    if (remote := shards.store) is not None:
        remote.read(f"train/{mds.INDEX}")


def upload(shards: MDSShards, places: dict[str, Path], say: Say, tell: Tell) -> None:
    """Upload shards to their remote, the index of a split last: nobody reads an incomplete split.

    Args:
        shards: with the remote.
        places: the folder of each split.
        say: takes a line for the user.
        tell: takes how many bytes of how many have been uploaded.

    Raises:
        RunFailed: the store cannot be written.
    """
    assert shards.remote is not None
    remote = Remote(shards.remote.rstrip("/"), dict(shards.storage_options))
    uploads = [_Upload(remote, split, place, shards.index_of(place)) for split, place in places.items()]
    missing = [one.missing() for one in uploads]
    whole = sum(one.index.bytes for one in uploads)
    done = whole - sum(shard.bytes for left in missing for shard in left)
    if done:
        say(f"{byte_size(done)} of {byte_size(whole)} are at {remote.url} from an earlier try")
    for one, left in zip(uploads, missing, strict=True):
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for shard in threads.map(one.put, left):
                files.append_line(one.journal, {"shard": shard.name})
                done += shard.bytes
                tell(done, whole)
        one.finish()
    say(f"{byte_size(whole)} written to {remote.url}")
