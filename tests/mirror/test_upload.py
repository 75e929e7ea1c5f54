"""What a mirror has of a run, and what becomes of it when the store or a machine fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.object_store import Remote
from resnet_exp.mirror import upload as uploads
from resnet_exp.mirror.claim import Claim, StoredRun, replace, stored_run
from resnet_exp.mirror.restore import restore
from resnet_exp.mirror.upload import Upload
from resnet_exp.runs import checkpoints
from resnet_exp.runs.folder import RunFolder
from support.object_store import minutes_pass

LARGE = 2**25


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"POLL": 0.05, "RETRY": 0.1, "LAST_TRIES": 0.5}.items():
        monkeypatch.setattr(uploads, f"{name}_SECONDS", seconds)


def stored() -> StoredRun:
    return stored_run("s3://shards/runs", "one")


def objects(store: Any) -> set[str]:
    found = store.list_objects_v2(Bucket="shards", Prefix="runs/one/").get("Contents", [])
    return {entry["Key"].removeprefix("runs/one/") for entry in found}


def save(run: RunFolder, batch: int, size: int = 1000) -> None:
    """Save a checkpoint as Composer does."""
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    name = f"ep1-ba{batch}-rank0.pt"
    torch.save(torch.full((size,), float(batch)), run.checkpoints / name)
    checkpoints.point_to(run, name)
    checkpoints.remove_stale(run)


def folder(path: Path, batch: int | None = None) -> RunFolder:
    run = RunFolder(path / "one")
    run.path.mkdir(parents=True)
    if batch is not None:
        run.config.write_text("ssr: 1\n")
        run.metrics.write_text('{"epoch": 1}\n')
        save(run, batch)
    return run


class Mirror:
    """A run that is uploaded."""

    def __init__(self, run: RunFolder, claim: Claim, upload: Upload, said: list[str]) -> None:
        self.run, self.claim, self.upload, self.said = run, claim, upload, said


@contextmanager
def mirrored(run: RunFolder) -> Iterator[Mirror]:
    said: list[str] = []
    claim = stored().take("abc", None, said.append)
    upload = Upload(run, stored(), claim, said.append)
    upload.start()
    try:
        yield Mirror(run, claim, upload, said)
    finally:
        upload.finish()


def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def has(name: str) -> bool:
    claim = stored().newest()
    return claim is not None and claim.file(name) is not None


def bring(path: Path) -> RunFolder:
    run, claim = folder(path), stored().newest()
    assert claim is not None and restore(run, stored(), claim) is not None
    return run


def test_what_goes_on_elsewhere_is_what_was_here(tmp_path: Path, store: Any) -> None:
    run = folder(tmp_path / "a", 8)
    run.progress.write_text("{}")
    with mirrored(run) as mirror:
        wait(lambda: has("checkpoints/ep1-ba8-rank0.pt"))
        save(run, 16, LARGE // 4)
        run.metrics.write_text('{"epoch": 1}\n{"epoch": 2}\n')
        wait(lambda: has("checkpoints/ep1-ba16-rank0.pt"))
    assert mirror.upload.error is None and mirror.said == []
    there = bring(tmp_path / "b")
    for path in (run.config, run.metrics, run.latest_checkpoint):
        assert there.path.joinpath(path.relative_to(run.path)).read_bytes() == path.read_bytes()
    assert there.latest_checkpoint.resolve().name == "ep1-ba16-rank0.pt" and not there.progress.exists()
    assert not list(there.path.glob(".*"))
    claim = stored().newest()
    assert claim is not None and not claim.running
    # Nothing of what was superseded stays.
    assert objects(store) == {"claim-000001.json", *(file.object for file in claim.files)}


def test_a_checkpoint_that_is_half_uploaded_is_never_read(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, put, sent = folder(tmp_path / "a", 8), Remote.put, []
    monkeypatch.setattr(uploads, "SMALL_BYTES", 10)

    def cut(self: Remote, name: str, content: Path) -> None:
        if "ba16" in name:
            sent.append(name)
            store.put_object(Bucket="shards", Key=f"runs/one/{name}", Body=content.read_bytes()[:100])
            return
        put(self, name, content)

    monkeypatch.setattr(Remote, "put", cut)
    with mirrored(run) as mirror:
        wait(lambda: has("checkpoints/ep1-ba8-rank0.pt"))
        save(run, 16)
        wait(lambda: mirror.upload.error is not None)
        assert "has 100 bytes, not" in str(mirror.upload.error)
        assert bring(tmp_path / "b").latest_checkpoint.resolve().name == "ep1-ba8-rank0.pt"
        monkeypatch.undo()
        wait(lambda: mirror.upload.error is None)
    assert sent and bring(tmp_path / "c").latest_checkpoint.resolve().name == "ep1-ba16-rank0.pt"


def test_a_damaged_object_is_refused_and_leaves_nothing(tmp_path: Path, store: Any) -> None:
    with mirrored(folder(tmp_path / "a", 8)):
        wait(lambda: has("checkpoints/ep1-ba8-rank0.pt"))
    claim = stored().newest()
    assert claim is not None
    damaged = next(file for file in claim.files if file.name.startswith("checkpoints/"))
    store.put_object(Bucket="shards", Key=f"runs/one/{damaged.object}", Body=b"x" * damaged.bytes)
    run = folder(tmp_path / "b")
    with pytest.raises(RunFailed, match=r"ep1-ba8-rank0\.pt\.\w+ is damaged"):
        restore(run, stored(), claim)
    assert list(run.path.iterdir()) == []


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, store: Any) -> None:
    with mirrored(folder(tmp_path / "a", 8)):
        pass
    claim = stored().newest()
    assert claim is not None
    for name in ("../../x", "/tmp/x", "checkpoints/../x", ".lock", "a/b"):
        evil = replace(claim, files=(replace(claim.files[0], name=name),))
        with pytest.raises(ValueError, match="is not a file of a run"):
            restore(folder(tmp_path / f"b{len(name)}{name[0] == '.'}"), stored(), evil)


def test_a_folder_that_is_ahead_stays(tmp_path: Path, store: Any) -> None:
    with mirrored(folder(tmp_path / "a", 8)):
        pass
    claim = stored().newest()
    assert claim is not None
    ahead, behind = folder(tmp_path / "b", 16), folder(tmp_path / "c", 4)
    assert restore(ahead, stored(), claim) is None
    assert ahead.latest_checkpoint.resolve().name == "ep1-ba16-rank0.pt"
    assert restore(behind, stored(), claim) is claim
    assert [path.name for path in behind.checkpoints.glob("ep*")] == ["ep1-ba8-rank0.pt"]


def test_a_store_that_fails_for_a_while_disturbs_nothing(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "a", 8)
    with mirrored(run) as mirror:
        wait(lambda: has("checkpoints/ep1-ba8-rank0.pt"))
        monkeypatch.setattr(Remote, "sizes", _unreachable)
        save(run, 16)
        wait(lambda: mirror.upload.error is not None)
        monkeypatch.undo()
        wait(lambda: has("checkpoints/ep1-ba16-rank0.pt"))
    assert [line.partition(";")[2] for line in mirror.said] == [" the run goes on, and this is tried again", ""]
    assert mirror.said[1] == "note: s3://shards/runs/one has all of the run again"


def _unreachable(self: Remote, folder: str) -> dict[str, int]:
    raise RunFailed(f"{self.url} cannot be read (no network)")


def test_what_never_arrives_is_said_at_the_end(tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path / "a", 8)
    with mirrored(run) as mirror:
        wait(lambda: has("config.yaml"))
        monkeypatch.setattr(Remote, "sizes", _unreachable)
        save(run, 16)
    assert mirror.upload.error == "s3://shards/runs/one cannot be read (no network)"


def test_a_machine_that_was_thought_gone_changes_nothing(tmp_path: Path, store: Any) -> None:
    run = folder(tmp_path / "a", 8)
    with mirrored(run) as mirror:
        wait(lambda: has("checkpoints/ep1-ba8-rank0.pt"))
        minutes_pass("runs/one/claim")
        other = stored().take("abc", None, lambda line: None)
        save(run, 16)
        wait(lambda: mirror.upload.error is not None)
    assert "was taken over (by process" in str(mirror.upload.error) and len(mirror.said) == 1
    assert stored().newest() == other
    assert bring(tmp_path / "b").latest_checkpoint.resolve().name == "ep1-ba8-rank0.pt"


def test_a_run_that_was_refused_leaves_nothing(tmp_path: Path, store: Any) -> None:
    run = folder(tmp_path / "a", 8)
    upload = Upload(run, stored(), stored().take("abc", None, print), print)
    upload.start()
    wait(lambda: has("config.yaml"))
    upload.finish(uploads=False)
    assert objects(store) == set()
    with mirrored(run):
        wait(lambda: has("config.yaml"))
    before = objects(store)
    upload = Upload(run, stored(), stored().take("abc", None, print), print)
    upload.start()
    upload.finish(uploads=False)
    assert {name.partition(".")[0] for name in objects(store) ^ before} == {"claim-000001", "claim-000002"}
