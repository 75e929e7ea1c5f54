"""A rank tells an error of its own from that of a collective whose other ranks are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed

from resnet_exp.core.errors import RunFailed
from resnet_exp.training.worker import has_lost_peer

PROGRAM = """
import os, signal, sys, torch
import torch.distributed as dist
from resnet_exp.training.worker import has_lost_peer
dist.init_process_group("gloo", init_method=sys.argv[1], rank=int(sys.argv[2]), world_size=2)
dist.all_reduce(torch.ones(1))
if dist.get_rank() == 1:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    for _ in range(1000):
        dist.all_reduce(torch.ones(1))
except Exception as error:
    print(has_lost_peer(error), flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_a_rank_whose_peer_was_killed_says_so(tmp_path: Path) -> None:
    words, environ = [sys.executable, "-c", PROGRAM, f"file://{tmp_path}/store"], {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([*words, rank], env=environ, stdout=subprocess.PIPE, text=True) for rank in ("0", "1")]
    said = [rank.communicate(timeout=200)[0] for rank in ranks]
    assert said == ["True\n", ""]


def test_errors_of_collectives_are_told_by_their_type() -> None:
    assert has_lost_peer(torch.distributed.DistBackendError("NCCL error"))
    assert has_lost_peer(torch.distributed.DistNetworkError("failed to recv, got 0 bytes"))
    for error in (ValueError("NCCL"), RuntimeError("CUDA error: out of memory"), RunFailed("loss is nan")):
        assert not has_lost_peer(error)
