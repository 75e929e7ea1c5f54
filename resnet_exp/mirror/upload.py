"""Uploads the files of a run while it trains: a thread of the process that started its ranks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal.text import one_line
from resnet_exp.mirror.claim import LEASE_SECONDS, Claim, StoredFile, StoredRun, claims_in
from resnet_exp.mirror.content import digest_of
from resnet_exp.runs.folder import RunFolder

POLL_SECONDS = 1.0
# Often enough that one lost message does not look like a lost machine.
BEAT_SECONDS = LEASE_SECONDS / 4
RETRY_SECONDS = 10.0
# After the end of a run: for a store that fails, and for all of it. A scheduler does not wait for long.
LAST_TRIES_SECONDS, FINISH_SECONDS = 30.0, 1800.0
# What is only of use on this machine, or changes all the time.
LEFT_OUT = ("progress.json", "launcher.log")
# Weights and checkpoints above it are read in parts.
SMALL_BYTES = 2**24


class _TakenOver(Exception):
    """Another machine has taken the run over."""


class _Rewritten(Exception):
    """A file has changed while it was read."""


@dataclass(frozen=True)
class _Stamp:
    """What tells a changed file from an unchanged one."""

    place: str
    inode: int
    bytes: int
    nanoseconds: int


class Upload:
    """Keeps a run in its mirror up to date until `finish`; a store that fails does not disturb the run."""

    def __init__(self, run: RunFolder, stored: StoredRun, claim: Claim, say: Callable[[str], None]) -> None:
        """`claim`: of this process; `say` takes a line for the user."""
        self.error: str | None = None  # why the store lacks something
        self._run, self._stored, self._claim, self._say = run, stored, claim, say
        self._uploads, self._is_new = True, not claim.files
        self._taken_over = False
        self._sent: list[_Stamp] = []
        self._known: dict[_Stamp, StoredFile] = {}
        self._due = 0.0
        self._ending, self._hurry = threading.Event(), threading.Event()
        # Not waited for at exit: a store may not answer.
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, patience: float = FINISH_SECONDS, uploads: bool = True) -> None:
        """Send what is left, and give the run free.

        Args:
            patience: seconds to wait for it.
            uploads: False for a run that was refused.
        """
        self._uploads = uploads
        self._ending.set()
        try:
            self._thread.join(patience)
        finally:
            self._hurry.set()
        if self._thread.is_alive():
            self.error = f"no end after {patience:g} s"

    def _work(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            new = self.error is None and self._sent != self._moments()
            if not self._taken_over and (new or time.monotonic() >= self._due):
                self._try(running=True)
        deadline = time.monotonic() + LAST_TRIES_SECONDS
        while not self._taken_over and not self._try(running=False):
            if time.monotonic() > deadline or self._hurry.wait(POLL_SECONDS):
                return

    def _try(self, running: bool) -> bool:
        """Send what is new; False if that failed."""
        moments, before = self._moments(), self.error
        try:
            self._send(running, new=moments != self._sent or not running)
        except _Rewritten:
            self._due = 0.0
            return False
        except _TakenOver as error:
            self._taken_over, self.error = True, str(error)
            self._say(f"note: {error}; nothing more is copied there")
            return False
        except (RequestError, RunFailed, OSError) as error:
            self.error, self._due = one_line(error), time.monotonic() + RETRY_SECONDS
            if before is None:
                self._say(f"note: {self.error}; the run goes on, and this is tried again")
            return False
        self.error, self._due, self._sent = None, time.monotonic() + BEAT_SECONDS, moments
        if before is not None:
            self._say(f"note: {self._stored.remote.url} has all of the run again")
        return True

    def _send(self, running: bool, new: bool) -> None:
        """Write the claim, with the files as they are now if there are `new` ones."""
        remote, files = self._stored.remote, self._claim.files
        there = self._there()
        if self._uploads and new:
            files = tuple(self._file(name, path, there) for name, path in self._files())
            there = self._there()
        if not self._uploads and self._is_new:
            remote.remove(there)  # of a run that was refused
            return
        claim = replace(self._claim, running=running, beat=self._claim.beat + 1, files=files)
        for file in claim.files:
            if there.get(file.object) != file.bytes:
                raise RunFailed(
                    f"{remote.url}/{file.object} has {there.get(file.object, 0):,} bytes, not {file.bytes:,}"
                )
        self._stored.write(claim)
        self._claim = claim
        kept = {file.object for file in claim.files}
        remote.remove([name for name in there if name not in kept and claims_in({name: 0}) != [claim.number]])

    def _there(self) -> dict[str, int]:
        """Objects of the run with their bytes; raises if it is no longer ours."""
        there = self._stored.remote.sizes("")
        if max(claims_in(there), default=0) > self._claim.number:
            newest = self._stored.newest()
            owner = newest.owner if newest is not None else "another machine"
            raise _TakenOver(f"{self._stored.remote.url} was taken over (by {owner})")
        return there

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Files to upload with their names, the checkpoint first: what others record must not end before it."""
        latest = self._run.latest_checkpoint
        if latest.exists():
            yield f"{self._run.checkpoints.name}/{latest.resolve().name}", latest.resolve()
        for path in sorted(self._run.path.iterdir()):
            own = path.name.startswith((".", "node")) or path.name in LEFT_OUT
            if path.is_file() and not own:
                yield path.name, path

    def _moments(self) -> list[_Stamp]:
        """The state of the files of which a new one is worth an upload."""
        run = self._run
        paths = (run.latest_checkpoint, run.metrics, run.data_set, run.result, run.failure)
        found: list[_Stamp] = []
        for path in paths:
            try:
                found.append(_stamp(str(path.resolve()), os.stat(path)))
            except OSError:
                continue
        return found

    def _file(self, name: str, path: Path, there: dict[str, int]) -> StoredFile:
        """Upload a file, unless the store has it."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise _Rewritten from None
        with file:
            stamp = _stamp(name, os.fstat(file.fileno()))
            known = self._known.get(stamp)
            if known is not None and there.get(known.object) == known.bytes:
                return known
            if stamp.bytes <= SMALL_BYTES or path.suffix != ".pt":
                content = file.read(stamp.bytes)  # what is appended to counts as it is now
                stored = _stored_file(name, len(content), digest_of([content]))
                if there.get(stored.object) != stored.bytes:
                    self._stored.remote.write(stored.object, content)
            else:
                stored = _stored_file(name, stamp.bytes, digest_of(iter(lambda: file.read(2**20), b"")))
                # By its descriptor: the name may be gone by now, or be that of a newer checkpoint.
                if there.get(stored.object) != stored.bytes:
                    self._stored.remote.put(stored.object, Path(f"/proc/self/fd/{file.fileno()}"))
                if _stamp(name, os.fstat(file.fileno())) != stamp:
                    raise _Rewritten
        self._known[stamp] = stored
        return stored


def _stored_file(name: str, size: int, digest: str) -> StoredFile:
    return StoredFile(name, f"{Path(name).name}.{digest}", size, digest)


def _stamp(place: str, found: os.stat_result) -> _Stamp:
    return _Stamp(place, found.st_ino, found.st_size, found.st_mtime_ns)
