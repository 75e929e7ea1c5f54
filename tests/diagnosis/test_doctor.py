"""``resnet_exp.doctor``: each finding on real command lines, and that nothing hangs."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnet_exp import doctor
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.core.machine import torch_build
from resnet_exp.core.terminal.finding import Finding, lines_of
from resnet_exp.diagnosis import examine, ranks, subject, trackers
from resnet_exp.launch import preflight
from support import wandb_service
from support.commands import RunCli, command, left_running
from support.configs import make_config
from support.conversions import wait_for
from support.fake_nvml import FakeGpu, fake_nvml
from support.photos import PhotoTree
from support.run_folders import write_run

DIGITS = ("recipe=mild", "dataset=digits", "data=imagefolder", "hardware=cpu", "ssr=0.1")
Found = dict[str, list[dict[str, str]]]
Examine = Callable[..., tuple[int, Found]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Examine:
    """Examine in this process, without the ranks, whose imports take seconds: the exit code, and findings by check."""
    monkeypatch.setattr(examine, "CHECKS", [check for check in examine.CHECKS if check[0] != "torch and ranks"])

    def run(*words: str) -> tuple[int, Found]:
        places = command(tmp_path)[3:]
        capfd.readouterr()
        code = doctor.main(["--json", *places, *words])
        found: Found = {}
        for line in capfd.readouterr().out.splitlines():
            finding = json.loads(line)
            found.setdefault(finding["check"], []).append(finding)
        return code, found

    return run


def finding(check: str, found: Found) -> tuple[str, str, str]:
    (only,) = found[check]
    return only["state"], only["found"], only["fix"]


def test_a_machine_that_is_ready(run_cli: RunCli, tmp_path: Path) -> None:
    """With two ranks, which meet and sum up gradients: the only test of all that there is, in processes of its own."""
    done = run_cli(*command(tmp_path)[3:], *DIGITS, "hardware.devices=2", module="resnet_exp.doctor")
    assert (done.returncode, done.stderr) == (EXIT_DONE, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mild-ssr0.1-cpu-s17-") and lines[-1].startswith("ready, ")
    rows = {line[6:21].strip(): line[21:] for line in lines[1:-1] if line.startswith("ok")}
    assert rows["data"] == "the digits of scikit-learn, which the first run writes into data.cache_dir"
    assert rows["cores"].endswith("for 2 ranks with 0 loader workers each")
    assert "mosaicml 0.32.1" in rows["torch"] and "ffcv 1.0.2" in rows["torch"]
    assert rows["ranks"].startswith("2 ranks sum 32.1 MB of gradients in ") and rows["ranks"].endswith(" ms (gloo)")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache").exists()


def test_ranks_that_answer_at_once_do_not_share_a_line() -> None:
    """Each write is a packet here; unbuffered output shows what ranks that share a file would mix up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        line = [sys.executable, "-u", "-m", ranks.PROBE, "cpu", "0"]
        subprocess.run(line, stdout=theirs.fileno(), env=os.environ | {"LOCAL_RANK": "1"}, check=True)
        answer = ours.recv(1 << 16).decode()
    assert answer.endswith("\n") and json.loads(answer)["rank"] == 0


def test_digits_that_no_run_has_written_yet(look: Examine) -> None:
    code, found = look("dataset=digits", "data=ffcv", "hardware=cpu")
    assert code == EXIT_DONE and "images" not in found


def test_a_rank_that_cannot_import_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffcv.py").write_text("raise OSError('libopencv_core.so: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = make_config("dataset=digits", "hardware=cpu", f"runs_dir={tmp_path / 'runs'}")
    found = {each.check: each for each in examine.check_ranks(subject.Subject(config))}
    assert found["torch"].state == "ok" and "torch 2." in found["torch"].found
    why = "OSError: libopencv_core.so: cannot open shared object file"
    assert (found["ffcv"].state, found["ffcv"].found) == ("bad", f"ffcv cannot be imported: {why}")
    assert found["ffcv"].fix.endswith("data=imagefolder needs no FFCV")


def test_devices_that_are_not_there(look: Examine) -> None:
    code, found = look("recipe=mild", "dataset=digits", "data=imagefolder", "hardware=h100x8")
    assert code == EXIT_FAILED
    state, what, fix = finding("devices", found)
    assert (state, what) == ("bad", "hardware=h100x8 needs 8 GPUs, this machine has 0")
    assert fix.startswith("use hardware=auto or hardware=cpu here")
    assert finding("room", found)[0] == "ok"  # the other checks are made all the same


def test_gpus_and_what_torch_has_for_them(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml(monkeypatch, [FakeGpu("NVIDIA H100 80GB HBM3", uuid=f"GPU-{number}") for number in range(2)])
    monkeypatch.setattr(torch_build, "installed_torch", lambda: torch_build.TorchBuild("2.14.1+cu130", (13, 0)))
    monkeypatch.setattr(torch_build, "kernels", lambda: "sm_80 sm_90")
    words = ("recipe=mild", "ssr=0.1", "dataset=digits", "data=imagefolder")
    code, found = look(*words)
    assert code == EXIT_DONE
    assert finding("devices", found)[:2] == ("ok", "2 x NVIDIA H100 80GB HBM3, driver 580.95.05 for CUDA 13.0")
    assert finding("kernels", found)[:2] == ("ok", "torch 2.14.1+cu130 has kernels for these GPUs")
    monkeypatch.setattr(torch_build, "kernels", lambda: "sm_100")
    code, found = look(*words, "hardware=a100x1")
    assert code == EXIT_FAILED and finding("devices", found)[0] == finding("kernels", found)[0] == "bad"
    assert "A100" in finding("devices", found)[1] and "only for sm_100" in finding("kernels", found)[1]


def test_bad_words_are_no_diagnosis(look: Examine, capfd: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([*DIGITS, "sssr=1"]) == EXIT_BAD_REQUEST
    output = capfd.readouterr()
    assert output.out == "" and output.err.count("\n") == 1


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "full"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_without_room(look: Examine, full_disk: Path) -> None:
    code, found = look(*DIGITS, f"runs_dir={full_disk / 'runs'}")
    assert code == EXIT_FAILED
    line = f"runs_dir={full_disk}/runs has 65.5 kB free, the run needs up to 225 MB"
    assert finding("room", found) == ("bad", line, "free some or set runs_dir=PATH")
    assert finding("runs_dir", found)[:2] == (
        "bad",
        f"runs_dir={full_disk}/runs: OSError: [Errno 28] No space left on device",
    )


def test_a_disk_that_cannot_be_written(look: Examine) -> None:
    code, found = look(*DIGITS, "runs_dir=/proc/runs")
    assert code == EXIT_FAILED
    assert finding("runs_dir", found)[0] == "bad" and finding("runs_dir", found)[2] == "set runs_dir=PATH"


def test_disks_slower_than_the_plan(look: Examine, tmp_path: Path, photo_tree: PhotoTree) -> None:
    """The plan is that of a finished run of a billion images a second, which no disk can feed."""
    data = (f"dataset.dir={photo_tree()}", "dataset=imagefolder", "train_batch_size=8", "eval_batch_size=8")
    config = make_config(*DIGITS, *data)
    words = {"recipe": "mild", "model": config.model.name, "dataset": "imagefolder", "data": "imagefolder"}
    run = write_run(
        tmp_path / "runs", "before", **words, images_per_second=1e9, hardware__name="cpu", hardware__gpu=None,
        hardware__devices=config.hardware.devices, hardware__precision="fp32",
    )  # fmt: skip
    (run / "config.yaml").unlink()
    code, found = look(*DIGITS, *data)
    assert code == EXIT_DONE  # slow is not broken
    state, what, fix = finding("images", found)
    assert state == "note" and what.endswith("; the plan has 1,000,000,000 images/s") and "data.cache_dir=PATH" in fix
    state, what, fix = finding("runs_dir", found)
    assert state == "note" and "an epoch shall take 0 s" in what and "checkpoint_interval=5ep" in fix


def test_converted_images_and_their_manifest(
    look: Examine, tmp_path: Path, photo_tree: PhotoTree, warm_cli: RunCli
) -> None:
    words = ("dataset=imagefolder", f"dataset.dir={photo_tree()}", "train_batch_size=8", "eval_batch_size=8")
    code, found = look(*DIGITS, "data=ffcv", *words)
    assert code == EXIT_DONE and finding("data", found)[1].startswith("not converted yet; data.cache_dir has ")
    indexed = ("data=imagefolder", "data.loader.decoder=compiled", "data.loader.index=true")
    code, found = look(*DIGITS, *indexed, *words)
    assert code == EXIT_DONE and finding("data", found)[1].startswith("no index yet; data.cache_dir has ")
    assert finding("data", found)[2].startswith("resnet_exp convert makes it ahead of the first run")
    places = command(tmp_path)[3:]
    assert warm_cli(*places, *words, module="resnet_exp.convert").returncode == EXIT_DONE
    code, found = look(*DIGITS, "data=ffcv", *words)
    assert code == EXIT_DONE
    assert finding("data", found)[1] == "data=ffcv of dataset=imagefolder, 32 images to train on"
    (manifest,) = tmp_path.glob("cache/ffcv/*/val.ffcv.json")
    manifest.write_text(manifest.read_text().replace('"china"', '"chine"'))
    code, found = look(*DIGITS, "data=ffcv", *words)
    assert code == EXIT_FAILED
    state, what, fix = finding("data", found)
    assert (state, what) == ("bad", f"{manifest} is damaged (it is not what was sealed)") and fix.startswith(
        "remove it"
    )


def test_limits_of_the_shell(look: Examine, capfd: pytest.CaptureFixture[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        code, found = look(*DIGITS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert code == EXIT_DONE
    assert finding("limits", found) == (
        "note",
        "ulimit -n allows 500 open files a process",
        "run ulimit -n 1024 or more",
    )


def test_a_run_is_refused_by_the_same_line(tmp_path: Path) -> None:
    """In a shell that allows no files of 96 MB: the run says what the doctor says, and leaves nothing."""
    line = command(tmp_path, *DIGITS)
    shell = ["bash", "-c", 'ulimit -S -f 1000; exec "$@"', "bash"]
    done = subprocess.run([*shell, *line], capture_output=True, text=True, timeout=300)
    said = "ulimit -f allows files of 1.0 MB, a checkpoint has 96.4 MB; run ulimit -f unlimited\n"
    assert (done.returncode, done.stderr) == (EXIT_BAD_REQUEST, said)
    assert not (tmp_path / "runs").exists()


def test_a_run_prints_the_notes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        preflight.check_machine(make_config(*DIGITS, f"runs_dir={tmp_path}"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    few = "ulimit -n allows 500 open files a process; run ulimit -n 1024 or more"
    assert capfd.readouterr().out == f"note: {few}\n"


def test_what_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)  # {0}'])\n"
    )
    (tmp_path / "hanging.py").write_text(script.format(tmp_path) + "time.sleep(99)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(RequestError, match="no answer within 1 s"):
        subject.ask_child("hanging", seconds=1)
    assert time.monotonic() - began < 60
    # Killed, which takes a moment.
    wait_for(lambda: left_running(tmp_path) == [])


@pytest.mark.parametrize("how", ["logged in", "silent", "no login"])
def test_the_login_of_wandb(look: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(trackers, "PATIENCE_SECONDS", 3 if how == "silent" else 120)
    with wandb_service.running() as service:
        for name, value in service.environ().items():
            monkeypatch.setenv(name, value)
        if how == "no login":
            monkeypatch.delenv("WANDB_API_KEY")
        if how == "silent":
            service.stalls.set()
        code, found = look(*DIGITS, "loggers=[wandb]")
    assert code == EXIT_DONE  # such a run is recorded offline
    state, what, fix = finding("W&B", found)
    if how == "logged in":
        assert (state, what) == ("ok", f"logged in as me at {service.address}")
    elif how == "silent":
        assert (state, what) == ("note", "no login: no answer within 3 s") and "wandb login" in fix
    else:
        assert state == "note" and what.startswith("no login: No API key configured.")


def test_a_machine_without_a_cluster(look: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "SLURM" not in look(*DIGITS)[1]
    code, found = look("-m", *DIGITS, "seed=1,2", "hydra/launcher=slurm")
    assert code == EXIT_FAILED and finding("SLURM", found)[1] == "hydra/launcher=slurm: this machine has no SLURM"
    assert "devices" in found and "limits" not in found  # of another machine


def test_findings_as_lines() -> None:
    one = Finding("data", "bad", "a b c d e f", "g h")
    assert lines_of(one, None) == "BAD   data           a b c d e f\n                     -> g h"
    assert lines_of(one, 46).splitlines()[0] == "BAD   data           a b c d e f"
    assert examine.verdict([one]) == "not ready: 1 line marked BAD, 0 notes"
