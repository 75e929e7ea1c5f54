"""MDS shards on their way to an object store; an upload that was interrupted goes on. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core import files
from resnet_exp.core.text import byte_size
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.process import Say
from resnet_exp.data.streaming import mds
from resnet_exp.data.streaming.files import MDSShards
from resnet_exp.data.streaming.object_store import Remote
from resnet_exp.data.streaming.shard_cache import AT_ONCE

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class _Upload:
    """One split on its way."""

    remote: Remote
    split: str
    place: Path
    index: mds.Index

    @property
    def journal(self) -> Path:
        """JSON lines beside the folder: where the shards go and which they are, then a line for each that is there."""
        return self.place.with_name(f".{self.place.name}.uploaded")

    def head(self) -> dict[str, str]:
        """What the journal must begin with for its lines to be of this upload."""
        # A hash, since options may be secrets.
        where = hashlib.sha256(json.dumps([self.remote.url, self.remote.options]).encode())
        where.update((self.place / mds.INDEX).read_bytes())
        return {"upload": where.hexdigest()}

    def missing(self) -> list[mds.Shard]:
        """Shards that an earlier try has not brought there, or that have been removed since."""
        lines = files.whole_lines(self.journal)
        noted = {line["shard"] for line in lines} if next(lines, None) == self.head() else set[str]()
        sizes = self.remote.sizes(self.split) if noted else {}
        missing = [
            shard for shard in self.index.shards if shard.name not in noted or sizes.get(shard.name) != shard.bytes
        ]
        done = noted.difference(shard.name for shard in missing)
        files.write_lines(self.journal, [self.head(), *({"shard": name} for name in sorted(done))])
        return missing

    def put(self, shard: mds.Shard) -> mds.Shard:
        """Copy a shard there."""
        self.remote.put(f"{self.split}/{shard.name}", self.place / shard.name)
        return shard

    def finish(self) -> None:
        """Copy what makes the split readable."""
        self.remote.put(f"{self.split}.json", manifests.path_of(self.place))
        self.remote.put(f"{self.split}/{mds.INDEX}", self.place / mds.INDEX)
        self.journal.unlink()


def check_target(shards: MDSShards) -> None:
    """See that there is a store where shards shall go; a conversion before the upload can take hours.

    Raises:
        RequestError: the URL or an option is of no use, or there is no right to read.
        RunFailed: it cannot be reached.
    """
    if (remote := shards.store) is not None:
        remote.read(f"train/{mds.INDEX}")


def upload(shards: MDSShards, places: dict[str, Path], say: Say, tell: Tell) -> None:
    """Copy shards to their remote, the index of a split last: nobody reads what is not complete.

    Args:
        shards: with the remote.
        places: the folder of each split.
        say: takes a line for the user.
        tell: takes how many bytes of how many are there.

    Raises:
        RunFailed: something cannot be written there.
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
