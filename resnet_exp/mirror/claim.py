"""One run in an object store: its files, and which machine carries it out.

``MIRROR/RUN_ID`` has objects that never change, named by file and content, such as ``metrics.jsonl.1f0c...``, and
claims, ``claim-000001.json`` and so on: who carries the run out, and which objects are its files. The claim with the
highest number counts. Only its owner writes it, as a whole, once all objects that it names are there. A machine that
takes the run over creates the next claim, which the store grants to one only.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from resnet_exp.core.errors import OwnedByOther, RequestError, RunFailed
from resnet_exp.core.files import SCHEMA, parse_json
from resnet_exp.core.object_store import Remote
from resnet_exp.core.records import Count, Text, Whole, from_json, is_object

# A machine that was not heard of for so long is gone.
LEASE_SECONDS = 60.0
POLL_SECONDS = 5.0
CLAIM = re.compile(r"claim-(\d{6,})\.json")
CLOCK = "clock"
SETTING = "mirror"


@dataclass(frozen=True)
class StoredFile:
    """A file of a run: its name in the run folder, and the object that has its content."""

    name: Text
    object: Text
    bytes: Whole
    digest: Text


@dataclass(frozen=True)
class Claim:
    """Who carries out a run, and what of it is in the store.

    Attributes:
        number: of the claim.
        token: of the owner, which no other has.
        owner: in words.
        outcome: digest of the run's configuration, as far as it can change accuracy or speed.
        running: False once the owner has ended.
        beat: counts how often the owner has written it.
        files: of the run.
    """

    number: Count
    token: Text
    owner: Text
    outcome: Text
    running: bool
    beat: Whole
    files: tuple[StoredFile, ...] = ()

    def file(self, name: str) -> StoredFile | None:
        """A file of the run by its name."""
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True)
class StoredRun:
    """One run in an object store."""

    remote: Remote

    @property
    def name(self) -> str:
        """The id of the run."""
        return self.remote.url.rpartition("/")[2]

    def newest(self) -> Claim | None:
        """The claim that counts; None if there is none.

        Raises:
            RequestError: it is damaged, or cannot be read and never will.
            RunFailed: the store cannot be read now.
        """
        numbers = claims_in(self.remote.sizes(""))
        return self._read(max(numbers)) if numbers else None

    def take(self, outcome: str, earlier: str | None, say: Callable[[str], None]) -> Claim:
        """Claim the run for this process; waits for a machine that may be gone.

        Args:
            outcome: as in `Claim`.
            earlier: token of a claim whose owner is known to have ended; None if there is none.
            say: takes a line for the user.

        Raises:
            OwnedByOther: another machine carries it out.
            RequestError: it is a run of another configuration, or the store cannot be used.
            RunFailed: the store does not answer now.
        """
        # Also whether this machine may write, before anything has started.
        self.remote.write(CLOCK, b"now")
        before = self.newest()
        if before is not None and before.outcome != outcome:
            raise RequestError(
                f"{SETTING}: {self.remote.url} is a run of another configuration ({before.outcome}, this is {outcome});"
                " use another run_id or another mirror"
            )
        if before is not None and before.running and before.token != earlier:
            before = self._wait_for(before, say)
        number, files = (before.number, before.files) if before is not None else (0, ())
        owner = f"process {os.getpid()} on {socket.gethostname()}"
        claim = Claim(number + 1, uuid.uuid4().hex, owner, outcome, True, 0, files)
        if not self._create(claim):
            raise self._owned(self._read(claim.number))
        return claim

    def write(self, claim: Claim) -> None:
        """Write a claim that was taken; raises as `Remote.write` does."""
        self.remote.write(_path(claim.number), _text(claim))

    def _create(self, claim: Claim) -> bool:
        created = self.remote.write(_path(claim.number), _text(claim), create=True)
        # An answer may get lost, and a store may not know the condition.
        found = self._read(claim.number)
        return found is not None and found.token == claim.token and (created or found == claim)

    def _wait_for(self, before: Claim, say: Callable[[str], None]) -> Claim | None:
        """Wait until a claim is too old to be of a machine that lives; returns the claim that counts then."""
        said = False
        while True:
            now = self.newest()
            if now is None or not now.running:
                return now
            if now != before:
                raise self._owned(now)
            left = LEASE_SECONDS - self._age(now)
            if left <= 0:
                return now
            if not said:
                say(f"note: {self.remote.url} was in use by {now.owner} a moment ago; waiting up to {left:.0f} s")
                said = True
            time.sleep(min(left, POLL_SECONDS))

    def _age(self, claim: Claim) -> float:
        """Seconds since a claim was written, by the clock of the store."""
        self.remote.write(CLOCK, b"now")
        now, then = self.remote.changed(CLOCK), self.remote.changed(_path(claim.number))
        return (now - then).total_seconds() if now is not None and then is not None else LEASE_SECONDS

    def _owned(self, claim: Claim | None) -> OwnedByOther:
        owner = claim.owner if claim is not None else "another machine"
        return OwnedByOther(f"{self.remote.url} is already running (by {owner}); wait for it or stop it")

    def _read(self, number: int) -> Claim | None:
        text = self.remote.read(_path(number))
        if text is None:
            return None
        try:
            values = parse_json(text)
            if not is_object(values) or values.get("schema") != SCHEMA:
                raise ValueError("it is not of this version")
            return from_json(Claim, values)
        except ValueError as error:
            raise RequestError(
                f"{self.remote.url}/{_path(number)} is damaged ({error}); remove it to use the one before"
            ) from error


def stored_run(mirror: str, run_id: str) -> StoredRun:
    """A run of a mirror, which may not be there yet."""
    return StoredRun(replace(mirror_of(mirror), url=f"{mirror.rstrip('/')}/{run_id}"))


def mirror_of(url: str) -> Remote:
    """The folder of the runs of a mirror."""
    return Remote(url.rstrip("/"), {}, SETTING, "")


def claims_in(names: dict[str, int]) -> list[int]:
    """Numbers of the claims among the objects of a run."""
    return [int(found[1]) for name in names if (found := CLAIM.fullmatch(name))]


def refusing(error: RunFailed) -> RequestError:
    """Why a run does not start: nothing of it has begun when its mirror cannot be reached."""
    return RequestError(str(error))


def _path(number: int) -> str:
    return f"claim-{number:06d}.json"


def _text(claim: Claim) -> bytes:
    return (json.dumps({"schema": SCHEMA, **asdict(claim)}, indent=1) + "\n").encode()
