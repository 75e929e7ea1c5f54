"""What the step leaves out, and when: overflows of other ranks, waits for data, microbatches that adapt."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from resnet_exp.core.errors import RequestError
from support.configs import make_config


@pytest.mark.parametrize("where", ["nowhere", "here", "on another rank"])
def test_ranks_agree_on_overflows(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from composer.utils import dist

    from resnet_exp.training.algorithms.sam_optimizer import ResumableSAMOptimizer
    from resnet_exp.training.step.optimizer import DecoupledSGDW
    from resnet_exp.training.step.scaler import ClosureGradScaler

    asked: list[float] = []

    def all_reduce(found: torch.Tensor, reduce_operation: str) -> None:
        assert reduce_operation == "MAX"
        asked.append(found.item())
        found.fill_(max(found.item(), where == "on another rank"))

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = ResumableSAMOptimizer(DecoupledSGDW([weight], lr=0.1), rho=0.5, epsilon=1e-12, interval=2)
    scaler = ClosureGradScaler(device="cpu", init_scale=8.0)
    passes: list[bool] = []

    def closure(ddp_sync: bool = True, loss_dict: object = None) -> torch.Tensor:
        passes.append(ddp_sync)
        loss = weight.square().sum()
        scaler.scale(loss).backward()
        if where == "here" and not ddp_sync:
            assert weight.grad is not None
            weight.grad[0] = float("inf")
        scaler.unscale_(optimizer)
        return loss.detach()

    for _ in range(2):
        scaler.step(optimizer, closure=closure)
        scaler.update()
    fine = where == "nowhere"
    assert passes == ([True, False, True] if fine else [True, False])
    assert asked == [1.0 if where == "here" else 0.0], "only where gradients are a rank's own"
    assert scaler.get_scale() == (8.0 if fine else 4.0)
    # One step of 0.1 * 2 leaves 0.8; the one of SAM is skipped and leaves no trace.
    assert torch.equal(weight.detach(), torch.full((4,), 0.8)) != fine


def test_auto_microbatches_with_sam_are_refused() -> None:
    words = ("hardware=h100x8", "dataset=imagenet", "dataset.dir=unused", "hardware.device_train_microbatch_size=auto")
    with pytest.raises(RequestError) as refused:
        make_config("recipe=hot", *words)
    assert str(refused.value) == (
        "hardware.device_train_microbatch_size=auto cannot repeat the two passes of algorithms.sam; use a number of "
        "images"
    )
    assert make_config("recipe=mild", *words).hardware.microbatch == "auto"


def test_the_wait_for_data_is_that_of_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    from composer.core.types import TrainerMode

    from resnet_exp.training.step import trainer

    clock = [0.0]
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: clock[0])

    def batches() -> Any:
        for batch in range(3):
            clock[0] += 2
            yield batch

    waits: list[float] = []
    # What surrounds a batch takes time too: events before it, moving and augmenting it after.
    events = SimpleNamespace(run_event=lambda event: clock.__setitem__(0, clock[0] + 10), run_marker_only_event=print)
    mine: Any = SimpleNamespace(
        state=SimpleNamespace(dataloader=batches(), dataloader_len=None), engine=events, _has_ended=bool,
        _recorder=SimpleNamespace(add_wait=waits.append), _waiting=lambda train: nullcontext(),
    )  # fmt: skip
    for _ in trainer.StepTrainer._iter_dataloader(mine, TrainerMode.TRAIN):
        clock[0] += 100
    assert waits == [2, 2, 2, 0]
