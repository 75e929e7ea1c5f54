"""Runs with a mirror, on the command line: each folder of runs here is a machine of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.files import read_json
from resnet_exp.mirror.claim import mirror_of
from support.commands import Finished, RunCli
from support.object_store import minutes_pass
from support.photos import PhotoTree
from support.ports import unused_port
from support.same_run import assert_same, only_run
from support.training import train
from support.warm import WarmPython

pytestmark = pytest.mark.usefixtures("compiled")

MIRROR = "mirror=s3://shards/runs"
INTERRUPTED = ("+callbacks.interrupter._target_=support.interrupter.Interrupter", "ssr=0.0334", "trace=true")


@pytest.mark.soak
def test_a_run_goes_on_elsewhere_to_the_last_bit(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, warm_training: WarmPython, warm_python: WarmPython
) -> None:
    photo_tree()

    def run(machine: str, *words: str, **environ: str) -> Finished:
        never = {"INTERRUPT": "never::", **environ}
        places = (f"runs_dir={tmp_path / machine}", *INTERRUPTED, *words)
        return train(warm_training, tmp_path, "recipe=hot", *places, **never)

    whole = run("whole")
    assert whole.returncode == 0, whole.stderr + whole.stdout
    killed = run("a", MIRROR, INTERRUPT="13:SIGKILL:machine", INTERRUPT_MIRRORED="s3://shards/runs:-ba8-")
    assert killed.returncode == -9, killed.stderr + killed.stdout
    # A machine that was heard of just now may live.
    began = time.monotonic()
    minutes_pass("runs/", 30)
    again = run("b", MIRROR)
    assert again.returncode == 0, again.stderr + again.stdout
    assert "waiting up to" in again.stdout and "brought from s3://shards/runs/" in again.stdout
    assert "resuming   from ep1-ba8-rank0.pt" in again.stdout and time.monotonic() - began > 5
    assert_same(only_run(tmp_path / "whole"), only_run(tmp_path / "b"))
    result = read_json(only_run(tmp_path / "b").result)
    assert result is not None and result["resumed"] == 1

    # The machine that was killed is back: the run is done.
    back = run("a", MIRROR)
    assert back.returncode == 0 and "already done" in back.stdout, back.stderr + back.stdout
    assert_same(only_run(tmp_path / "a"), only_run(tmp_path / "b"))
    assert not only_run(tmp_path / "a").checkpoints.exists()
    other = run("c", MIRROR, "optimizer.lr=0.02", f"run_id={only_run(tmp_path / 'a').path.name}")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1), other.stderr
    assert "is a run of another configuration" in other.stderr and not list((tmp_path / "c").glob("*"))

    pulled = warm_python.run(["resnet_exp", "pull", "s3://shards/runs", str(tmp_path / "home")], tmp_path)
    assert (pulled.returncode, pulled.stderr) == (0, ""), pulled.stderr
    assert_same(only_run(tmp_path / "home"), only_run(tmp_path / "b"))
    again = warm_python.run(["resnet_exp", "pull", "s3://shards/runs", str(tmp_path / "home")], tmp_path)
    assert again.stdout.startswith("0 runs of 1 brought")
    small = ["resnet_exp", "pull", "--results", "s3://shards/runs", str(tmp_path / "small")]
    assert warm_python.run(small, tmp_path).returncode == 0
    assert not only_run(tmp_path / "small").weights.exists()
    report = ["resnet_exp", "report", str(tmp_path / "small"), "-o", str(tmp_path / "report")]
    assert warm_python.run(report, tmp_path).returncode == 0


@pytest.mark.soak
def test_a_sweep_goes_on_elsewhere(
    tmp_path: Path, photo_tree: PhotoTree, store: Any, warm_training: WarmPython
) -> None:
    photo_tree()
    words = ("-m", "seed=1,2", MIRROR, "recipe=mild")
    first = train(warm_training, tmp_path, *words[:1], "seed=1", *words[2:], f"runs_dir={tmp_path / 'a'}")
    assert first.returncode == 0, first.stderr + first.stdout
    second = train(warm_training, tmp_path, *words, f"runs_dir={tmp_path / 'b'}")
    assert second.returncode == 0, second.stderr + second.stdout
    assert second.stdout.count("already done") == 1 and len(list((tmp_path / "b").glob("*/result.json"))) == 2


@pytest.mark.soak
@pytest.mark.parametrize("sweep", [(), ("-m",), ("-m", "hydra/launcher=submitit_local")], ids=" ".join)
def test_a_store_that_is_gone_at_the_end_is_said(
    tmp_path: Path,
    photo_tree: PhotoTree,
    store: Any,
    warm_training: WarmPython,
    warm_python: WarmPython,
    sweep: tuple[str, ...],
) -> None:
    photo_tree()
    words = (*sweep, "recipe=mild", MIRROR, "+callbacks.away._target_=support.interrupter.BucketGone")
    done = train(warm_training, tmp_path, *words)
    assert done.returncode == 1, done.stderr + done.stdout
    said = " ".join(f"{done.stderr} {done.stdout}".split())
    assert "is not complete in mirror=s3://shards/runs (" in said and done.stderr.count("\n") <= 1
    status = warm_python.run(["resnet_exp", "status", str(tmp_path / "runs")], tmp_path)
    assert "is not complete in mirror=" in " ".join(status.stdout.split()) and "done" in status.stdout
    store.create_bucket(Bucket="shards")
    again = train(warm_training, tmp_path, *words)
    assert again.returncode == 0, again.stderr + again.stdout
    assert "submitit" in str(sweep) or "already done: " in again.stdout
    names = {entry["Key"].split("/")[2].split(".")[0] for entry in store.list_objects_v2(Bucket="shards")["Contents"]}
    assert {"result", "weights", "metrics", "config"} <= names and "failure" not in names


REFUSED = {
    "mirror=runs": "mirror=runs is not a folder of an object store; use a URL such as s3://BUCKET/FOLDER, or for a",
    "mirror=file:///tmp/x": "mirror=file:///tmp/x is not a folder of an object store; use",
    "mirror=s3://": "mirror=s3:// is not a folder of an object store; use",
    "mirror=foo://x/y": "mirror=foo://x/y: Protocol not known: foo; check it",
    "mirror=gs://x/y": "mirror=gs://x/y needs a package that is not installed; Please install gcsfs",
    "mirror=s3://x/y": "s3://x/y cannot be read (NoCredentialsError: Unable to locate credentials); check mirror and",
}


@pytest.mark.parametrize("word", REFUSED)
def test_mirrors_of_no_use_are_refused(
    word: str, tmp_path: Path, warm_cli: RunCli, tiny: list[str], monkeypatch: Any
) -> None:
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_CONFIG_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in nobody.items():
        monkeypatch.setenv(name, value)
    done = warm_cli(*tiny, word)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(REFUSED[word]) and os.listdir(tmp_path) == []


def test_a_store_that_does_not_answer_is_refused(
    tmp_path: Path, store: Any, warm_cli: RunCli, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with unused_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        done = warm_cli(*tiny, MIRROR)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("s3://shards/runs cannot be read (") and os.listdir(tmp_path) == []


def test_a_bucket_that_is_missing_is_refused(tmp_path: Path, store: Any, warm_cli: RunCli, tiny: list[str]) -> None:
    done = warm_cli(*tiny, "mirror=s3://nowhere/runs")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "/clock cannot be written (FileNotFoundError: The specified bucket does not exist); check" in done.stderr
    assert not list((tmp_path / "runs").glob("*"))


def test_pull_refuses_what_is_no_mirror(tmp_path: Path, store: Any, warm_cli: RunCli) -> None:
    lines = {
        "runs": "runs is not a folder of an object store; give",
        "file:///etc": "file:///etc is not a folder of an object store; give",
        "s3://shards/x": "s3://shards/x has no runs; give",
        "s3://shards/others": "s3://shards/others has no runs; give",
    }
    mirror_of("s3://shards/others/folder").write("file", b"not of a run")
    for word, line in lines.items():
        done = warm_cli(word, module="resnet_exp.pull")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and done.stderr.startswith(line), done.stderr
    assert os.listdir(tmp_path) == []
