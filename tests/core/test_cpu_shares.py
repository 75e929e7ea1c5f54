"""Ranks and runs of one machine share its CPUs, each near its GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from resnet_exp.config.checks.workers import num_workers
from resnet_exp.core.machine import cpu_shares, devices, torch_build
from resnet_exp.core.machine.cpu_shares import share_out
from resnet_exp.core.machine.torch_build import TorchBuild
from resnet_exp.launch import run
from resnet_exp.launch.ranks import run_ranks
from resnet_exp.launch.rendezvous import Rendezvous
from resnet_exp.runs.folder import RunFolder
from resnet_exp.sweep.launchers.local import Pool
from resnet_exp.sweep.planned import PlannedRun
from support.configs import make_config
from support.fake_nvml import FakeGpu, fake_nvml

DATA = ("recipe=mild", "dataset=imagenet", "dataset.dir=/data")
# Takes the place of Python: what a child may use.
SHOW = """#!/bin/sh
allowed=$(sed -n 's/Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
echo "gpus=$CUDA_VISIBLE_DEVICES own=$RESNET_EXP_OWN_CPUS cpus=$allowed"
"""


def cpus(text: str) -> frozenset[int]:
    ranges = (part.partition("-") for part in text.split(",") if part)
    return frozenset(cpu for low, _, high in ranges for cpu in range(int(low), int(high or low) + 1))


@pytest.mark.parametrize(
    ("near", "usable", "expected"),
    [
        # Two NUMA nodes of four GPUs each.
        (["0-7"] * 2 + ["8-15"] * 2, "0-15", ["0-3", "4-7", "8-11", "12-15"]),
        (["8-15", "0-7"], "0-15", ["8-15", "0-7"]),
        (["", ""], "0-7", ["0-3", "4-7"]),
        (["0-3"], "0-7", ["0-7"]),  # what is near no GPU is of use all the same
        (["0-3", "0-3"], "0-7", ["0-1,4-5", "2-3,6-7"]),
        (["0-7", "8-15"], "4-11", ["4-7", "8-11"]),  # a job of SLURM
        (["0-7", "8-15"], "0-7", ["0-3", "4-7"]),  # which has no CPU near one of its GPUs
        (["0-7", "8-15"], "0-8", ["0-3", "4-8"]),  # or hardly any
        (["0-7", "4-11"], "0-11", ["0-5", "6-11"]),
        (["0-7", ""], "0-7", ["0-3", "4-7"]),
        (["0-1"] * 3, "0-1", None),
        ([], "0-1", None),
    ],
)
def test_shares_are_near_and_fair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, near: list[str], usable: str, expected: list[str] | None
) -> None:
    monkeypatch.setattr(cpu_shares, "TOPOLOGY", tmp_path)
    assert share_out([cpus(text) for text in near], cpus(usable)) == [cpus(text) for text in expected or []]


def test_a_core_is_not_divided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel numbers the second threads of all cores after the first ones."""
    for cpu in range(8):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(cpu_shares, "TOPOLOGY", tmp_path)
    assert share_out([frozenset()] * 2, cpus("0-7")) == [cpus("0-1,4-5"), cpus("2-3,6-7")]


def test_a_rank_does_not_divide_its_share_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(*DATA, "hardware=a100x8")
    monkeypatch.setattr(devices, "usable_cpus", lambda: 96)
    assert num_workers(config) == 12
    monkeypatch.setenv(cpu_shares.OWN, "1")
    monkeypatch.setattr(devices, "usable_cpus", lambda: 12)
    assert num_workers(config) == 12


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[frozenset[int]]:
    """A machine whose second CPU is near its first GPU; what is started shows what it may use."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    gpus = [FakeGpu("NVIDIA A100-SXM4-40GB", (8, 0), 40, cpus=range(cpu, cpu + 1)) for cpu in (second, first)]
    fake_nvml(monkeypatch, gpus)
    monkeypatch.setattr(torch_build, "installed_torch", lambda: TorchBuild("2.14.1+cu130", (13, 0)))
    script = tmp_path / "show"
    script.write_text(SHOW)
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    shares = cpu_shares.shares_of(devices.visible_gpus())
    assert second in shares[0] and first in shares[1] and not shares[0] & shares[1]
    return shares


def shown(log: Path) -> tuple[str, str, frozenset[int]]:
    gpus, own, allowed = (word.partition("=")[2] for word in log.read_text().split())
    return gpus, own, cpus(allowed)


def test_ranks_run_near_their_gpus(two_gpus: list[frozenset[int]], tmp_path: Path) -> None:
    config = make_config(*DATA, "hardware=a100x8", "hardware.devices=2")
    here = Rendezvous(1, 0, "127.0.0.1", 29400)
    assert run_ranks(RunFolder(tmp_path), 2, here, None, run._cpu_shares(config)) == 0
    assert [shown(RunFolder(tmp_path).rank_log(rank)) for rank in (0, 1)] == [("", "1", share) for share in two_gpus]


def test_ranks_of_a_cpu_run_everywhere(two_gpus: list[frozenset[int]], tmp_path: Path) -> None:
    """Their arithmetic depends on the number of threads."""
    config = make_config(*DATA, "hardware=cpu", "hardware.devices=2")
    assert run._cpu_shares(config) == []
    assert run_ranks(RunFolder(tmp_path), 1, Rendezvous(1, 0, "127.0.0.1", 29400), None) == 0
    assert shown(RunFolder(tmp_path).rank_log(0)) == ("", "", frozenset(os.sched_getaffinity(0)))


@pytest.mark.parametrize("parallel", [None, 1])
def test_runs_of_a_local_sweep_share_the_cores(
    two_gpus: list[frozenset[int]], tmp_path: Path, parallel: int | None
) -> None:
    """Each took all of them for its loader."""
    words = (*DATA, "hardware=a100x1", f"runs_dir={tmp_path}")
    planned = [PlannedRun(make_config(*words, f"seed={seed}"), (), ()) for seed in (1, 2)]
    pool = Pool(planned, parallel)
    try:
        while pool.advance():
            pass
    finally:
        pool.close()
    seen = [shown(run.folder.launcher_log) for run in planned]
    alone = ("0", "", frozenset(os.sched_getaffinity(0)))
    assert seen == ([alone] * 2 if parallel else [(str(gpu), "", share) for gpu, share in enumerate(two_gpus)])
