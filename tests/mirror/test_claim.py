"""Who carries a run out: one machine at a time, whatever becomes of the one before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from resnet_exp.core.errors import OwnedByOther, RequestError
from resnet_exp.mirror import claim as claims
from resnet_exp.mirror.claim import Claim, StoredRun, stored_run
from support.object_store import minutes_pass


def silent(line: str) -> None:
    pass


def run_of(name: str = "one") -> StoredRun:
    return stored_run("s3://shards/runs/", name)


def take(outcome: str = "abc", earlier: str | None = None) -> Claim:
    return run_of().take(outcome, earlier, silent)


def test_of_many_machines_one_gets_a_run(store: Any) -> None:
    def waits(line: str) -> None:
        raise OwnedByOther("the owner, which lives, has only not written for a while")

    def attempt(_: int) -> Claim | None:
        try:
            return run_of().take("abc", None, waits)
        except OwnedByOther:
            return None

    with ThreadPoolExecutor(6) as machines:
        got = [claim for claim in machines.map(attempt, range(6)) if claim is not None]
    assert len(got) == 1 and run_of().newest() == got[0]


def test_who_looked_too_early_gets_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = take()
    with monkeypatch.context() as early:
        early.setattr(StoredRun, "newest", lambda self: None)
        with pytest.raises(OwnedByOther, match="is already running"):
            take()
    assert run_of().newest() == ours


def test_a_machine_that_lives_keeps_its_run(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "POLL_SECONDS", 0.05)
    ours = take()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        run_of().write(claims.replace(ours, beat=1))

    with pytest.raises(OwnedByOther, match=r"^s3://shards/runs/one is already running \(by process \d+ on "):
        run_of().take("abc", None, say)
    assert len(said) == 1 and "waiting up to" in said[0]


def test_a_machine_that_is_gone_loses_its_run(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take()
    minutes_pass("runs/one/claim")
    second = take()
    assert (second.number, second.files) == (first.number + 1, first.files)
    third = take(earlier=second.token)  # its process is known to have ended
    run_of().write(claims.replace(third, running=False))
    assert take().number == 4
    # Without a word, but a short while ago.
    monkeypatch.setattr(claims, "LEASE_SECONDS", 1.0)
    assert take().number == 5


def test_a_run_of_another_configuration_is_refused(store: Any) -> None:
    run_of().write(claims.replace(take(), running=False))
    with pytest.raises(RequestError, match=r"one is a run of another configuration \(abc, this is xyz\); use another"):
        take("xyz")


def test_a_damaged_claim_is_refused(store: Any) -> None:
    take()
    for body in (b"", b"{}", b'{"schema": 1}', b"[1]"):
        store.put_object(Bucket="shards", Key="runs/one/claim-000001.json", Body=body)
        with pytest.raises(RequestError, match=r"one/claim-000001\.json is damaged \("):
            take()


def test_a_bucket_that_is_not_there_is_refused(store: Any) -> None:
    with pytest.raises(RequestError, match=r"^s3://none/runs/one/clock cannot be written \(FileNotFoundError: "):
        stored_run("s3://none/runs", "one").take("abc", None, silent)
