"""The step's own arithmetic has the bits of Composer's: optimizer, SAM, moving average, losses and targets."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

Settings = dict[str, Any]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def weights(seed: int = 0) -> list[nn.Parameter]:
    torch.manual_seed(seed)
    return [nn.Parameter(torch.randn(shape)) for shape in ((7, 5, 3, 3), (5,), (4, 9), (1,), (3, 3))]


def groups(of: list[nn.Parameter], settings: Settings) -> list[Settings]:
    """Two groups with settings of their own; the second one decays nothing."""
    return [{"params": of[:3], **settings}, {"params": of[3:], **settings, "weight_decay": 0.0, "lr": 0.3}]


def set_gradients(step: int, *of: list[nn.Parameter]) -> None:
    """The same gradients for each; now and then a weight has none."""
    torch.manual_seed(100 + step)
    for index, alike in enumerate(zip(*of, strict=True)):
        gradient = None if (step + index) % 4 == 0 else torch.randn_like(alike[0])
        for weight in alike:
            weight.grad = None if gradient is None else gradient.clone()


@pytest.mark.parametrize("together", [True, False], ids=["as on a GPU", "as on a CPU"])
@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.875, "weight_decay": 5e-4},
        {"momentum": 0.9, "weight_decay": 3e-4, "dampening": 0.1},
        {"momentum": 0.9, "weight_decay": 0.0, "nesterov": True},
        {"momentum": 0.0, "weight_decay": 5e-4},
    ],
)
def test_the_optimizer_has_composers_bits(settings: Settings, together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import composer.optim

    from resnet_exp.training.step.optimizer import DecoupledSGDW, sgdw_together

    if together:
        monkeypatch.setattr(DecoupledSGDW, "sgdw", staticmethod(sgdw_together))
    settings = {"lr": 2.048, **settings}
    theirs, ours = weights(), weights()
    reference = composer.optim.DecoupledSGDW(groups(theirs, settings), **settings)
    optimizer = DecoupledSGDW(groups(ours, settings), **settings)
    for step in range(8):
        if step == 4:  # as a run that goes on from a checkpoint
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = DecoupledSGDW(groups(ours, settings), **settings)
            optimizer.load_state_dict(saved)
        set_gradients(step, theirs, ours)
        gradients = [weight.grad.clone() for weight in ours if weight.grad is not None]
        for one in (reference, optimizer):
            one.param_groups[0]["lr"] = 2.048 * (step + 1) / 8
            one.step()
        assert same(theirs, ours), step  # pyright: ignore[reportArgumentType]
        assert same(gradients, [weight.grad for weight in ours if weight.grad is not None])
    buffers = [
        [one.state[weight].get("momentum_buffer") for weight in of]
        for one, of in ((reference, theirs), (optimizer, ours))
    ]
    assert settings["momentum"] == 0 or same(*buffers)
    assert type(optimizer).__qualname__ == type(reference).__qualname__, "checkpoints name it"


def quadratic(of: list[nn.Parameter], target: Tensor) -> Any:
    """A closure as Composer's: gradients of a loss, which takes its arguments."""

    def closure(ddp_sync: bool = True, loss_dict: object = None) -> float:
        for weight in of:
            weight.grad = None
        loss = torch.stack([(weight - target).square().sum() for weight in of[:-1]]).sum()
        loss.backward()
        return loss.item()

    return closure


def looped_sam_step(of: list[nn.Parameter], closure: Any, base: Any, rho: float, epsilon: float) -> None:
    """A step of SAM, weight by weight, as Composer 0.32.1 but with exact restoration."""
    from composer.algorithms.sam.sam import SAMOptimizer

    closure()
    moved = [weight for weight in of if weight.grad is not None]
    before = [weight.detach().clone() for weight in moved]
    with torch.no_grad():
        norm = SAMOptimizer._grad_norm(base)
        for weight in moved:
            assert weight.grad is not None
            weight.add_(weight.grad * (rho / (norm + epsilon)))
    closure()
    with torch.no_grad():
        for weight, old in zip(moved, before, strict=True):
            weight.copy_(old)
    base.step()


def test_sam_has_the_bits_of_a_loop() -> None:
    from resnet_exp.training.algorithms.sam_optimizer import ResumableSAMOptimizer
    from resnet_exp.training.step.optimizer import DecoupledSGDW

    settings: Settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    theirs, ours = weights(), weights()
    base = DecoupledSGDW(theirs, **settings)
    optimizer = ResumableSAMOptimizer(DecoupledSGDW(ours, **settings), rho=0.5, epsilon=1e-12, interval=2)
    target = torch.tensor(0.3)
    for step in range(6):
        closure = quadratic(theirs, target)
        if step % 2:
            looped_sam_step(theirs, closure, base, 0.5, 1e-12)
        else:
            closure()
            base.step()
        optimizer.step(quadratic(ours, target))
        assert same(theirs, ours), step  # pyright: ignore[reportArgumentType]
    assert optimizer.global_step == 6
    assert {key for state in optimizer.state.values() for key in state} == {"momentum_buffer"}


def test_a_second_pass_of_sam_that_fails_leaves_the_weights() -> None:
    from resnet_exp.training.algorithms.sam_optimizer import ResumableSAMOptimizer
    from resnet_exp.training.step.optimizer import DecoupledSGDW

    ours = weights()
    optimizer = ResumableSAMOptimizer(DecoupledSGDW(ours, lr=0.1, momentum=0.9), rho=0.5, epsilon=1e-12, interval=1)
    before = [weight.detach().clone() for weight in ours]
    passes: list[bool] = []
    inner = quadratic(ours, torch.tensor(0.0))

    def closure(ddp_sync: bool = True, loss_dict: object = None) -> float:
        passes.append(ddp_sync)
        if len(passes) == 2:
            assert not same(before, ours), "it has climbed"  # pyright: ignore[reportArgumentType]
            raise RuntimeError("CUDA out of memory")
        return inner()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert passes == [False, True] and same(before, ours)  # pyright: ignore[reportArgumentType]
    assert optimizer.global_step == 0, "the batch was not trained on"


def test_the_average_has_composers_bits() -> None:
    from composer.algorithms.ema.ema import EMAParameters, compute_ema

    from resnet_exp.training.algorithms.ema import update_averages

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4))
    theirs, ours = EMAParameters(model), EMAParameters(model)
    for _ in range(5):
        model(torch.randn(2, 3, 9, 9))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        compute_ema(model, theirs, smoothing=0.87)
        update_averages({**ours.named_parameters_dict, **ours.named_buffers_dict}, model, 0.87)
        for one, other in ((theirs.named_parameters_dict, ours.named_parameters_dict),
                           (theirs.named_buffers_dict, ours.named_buffers_dict)):  # fmt: skip
            assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert ours.named_buffers_dict["1.num_batches_tracked"].dtype == torch.long


@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "soft_cross_entropy"])
@pytest.mark.parametrize("labels", ["numbers", "probabilities"])
def test_losses_have_composers_bits(loss: str, labels: str) -> None:
    import composer.loss

    from resnet_exp.training.step.losses import LOSSES

    torch.manual_seed(0)
    target = torch.randint(0, 9, (7,))
    if labels == "probabilities":
        target = torch.rand(7, 9).softmax(1)
    theirs = torch.randn(7, 9, requires_grad=True)
    ours = theirs.detach().clone().requires_grad_()
    expected, actual = getattr(composer.loss, loss)(theirs, target), LOSSES[loss](ours, target)
    expected.backward()
    actual.backward()
    assert torch.equal(expected, actual) and theirs.grad is not None and ours.grad is not None
    assert torch.equal(theirs.grad, ours.grad)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LabelSmoothing", {"smoothing": 0.13}),
        ("MixUp", {"alpha": 0.2}),
        ("MixUp", {"alpha": 0.2, "interpolate_loss": True}),
        ("CutMix", {"alpha": 1.0}),
        ("CutMix", {"alpha": 1.0, "interpolate_loss": True, "uniform_sampling": True}),
        ("ColOut", {"p_row": 0.15, "p_col": 0.3}),
    ],
)
def test_algorithms_have_composers_bits(name: str, settings: Settings) -> None:
    from composer.core import Event
    from composer.loggers import Logger

    from resnet_exp.training.instantiate import build_named
    from resnet_exp.training.step.algorithms import UNWAITING

    entries = {"mine": {"_target_": f"composer.algorithms.{name}", **settings}}
    (composers,), (ours,) = build_named("algorithms", entries), build_named("algorithms", entries, UNWAITING)
    assert isinstance(ours, type(composers)) and type(ours) is not type(composers)
    found: list[list[Tensor]] = []
    for algorithm in (composers, ours):
        state = _state()
        torch.manual_seed(3)
        np.random.seed(3)
        seen: list[Tensor] = []
        for _ in range(2):
            state.batch = (torch.randn(6, 3, 11, 10), torch.randint(0, 5, (6,)))
            for event in (Event.AFTER_DATALOADER, Event.BEFORE_FORWARD, Event.BEFORE_LOSS, Event.AFTER_LOSS,
                          Event.BEFORE_BACKWARD):  # fmt: skip
                if event == Event.BEFORE_LOSS:
                    state.outputs = torch.randn(6, 5)
                if event == Event.AFTER_LOSS:
                    state.loss = state.model.loss(state.outputs, state.batch)
                if algorithm.match(event, state):
                    algorithm.apply(event, state, Logger(state))
                seen += [*state.batch]
            seen.append(state.loss)
        found.append(seen)
    assert len(found[0]) > 10 and same(*found)


def _state() -> Any:
    from composer.core import State
    from composer.devices import DeviceCPU
    from composer.models import ComposerClassifier

    from resnet_exp.training.step.losses import soft_cross_entropy

    model = ComposerClassifier(nn.Linear(1, 1), num_classes=5, loss_fn=soft_cross_entropy)
    return State(model=model, rank_zero_seed=0, run_name="mine", device=DeviceCPU())
