"""Training loops that `step.py` and `gpu.sh` compare: the same network, images and batch, each with its own step.

Each asks one loader for its batches. The loader waits for orders, and its clock is the measurement: when a loop asks
for the next batch, it has done everything of the last one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from gpu.device import Device, make_device
from torch import nn
from torch.nn import functional

CONF = Path(__file__).resolve().parent.parent / "conf"
CLASSES, LARGEST, DISTINCT = 1000, 224, 256
MOMENTUM, DECAY, SMOOTHING = 0.875, 5e-4, 0.08
EMA_STEPS, EMA_SMOOTHING = 20, 2 ** (-20 / 100)
# Small: images and labels are random.
LR = 1e-3
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

# What changes the size of images, or needs files of them.
WITHOUT = {
    "baseline": (),
    "mild": ("~algorithms.progressive_resizing",),
    "medium": ("~algorithms.progressive_resizing",),
    "hot": ("~algorithms.progressive_resizing", "~algorithms.randaugment"),
}


@dataclass(frozen=True)
class Case:
    """What a loop trains: up to `batch` images a step, in parts of `microbatch`, of at most `largest` pixels a side."""

    model: str
    batch: int
    microbatch: int
    device: Device
    recipe: str = "mild"
    largest: int = LARGEST
    backend: str = "inductor"

    @property
    def precision(self) -> str:
        """That of the recipes on a GPU; full on a CPU."""
        return "amp_fp16" if self.device.kind == "cuda" else "fp32"


class Paced:
    """A loader that hands out batches as ordered, and answers how long each order took."""

    def __init__(self, case: Case, orders: Iterator[dict[str, int]], answer: Callable[[dict[str, Any]], None]) -> None:
        """`orders` have ``px``, ``steps`` and, if not all of the batch, ``images``; after the last the process ends."""
        self.batch_size = self.images = case.batch
        self._case, self._orders, self._answer = case, orders, answer
        size = (min(case.batch, DISTINCT), 3, case.largest, case.largest)
        random = torch.Generator().manual_seed(17)
        images = torch.randint(0, 256, size, dtype=torch.uint8, generator=random)
        self._images = images.to(case.device.torch)
        self._shape = (0, 0)
        labels = torch.randint(0, CLASSES, (case.batch,), generator=random)
        self._labels = labels.to(case.device.torch)

    def __len__(self) -> int:
        """Batches of an epoch: more than are ever asked for."""
        return 10**6

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of uint8 images, NCHW in the order of NHWC, and labels."""
        device = self._case.device
        for order in self._orders:
            side, count = order["px"], order.get("images", self.batch_size)
            if (side, count) != self._shape:
                self._shape = (side, count)
                device.reset_peak()
            repeats = -(-count // len(self._images))
            images = self._images[..., :side, :side].repeat(repeats, 1, 1, 1)[:count]
            images, labels = images.contiguous(memory_format=torch.channels_last), self._labels[:count]
            device.synchronize()
            busy, began, moments = time.process_time(), time.perf_counter(), [device.moment()]
            with contextlib.ExitStack() as stack:
                profile = stack.enter_context(device.profiled()) if order.get("profile") else None
                places = stack.enter_context(device.synchronizations()) if order.get("syncs") else None
                for _ in range(order["steps"]):
                    yield images, labels.clone()
                    moments.append(device.moment())
                device.synchronize()
            wall, cpu = time.perf_counter() - began, time.process_time() - busy
            each = sorted(after.since(before) for before, after in itertools.pairwise(moments))
            answer: dict[str, Any] = {
                "wall": wall / order["steps"],
                "cpu": cpu / order["steps"],
                "median": each[len(each) // 2],
                "peak": device.peak_bytes(),
            }
            if profile is not None:
                answer |= {
                    "kernels": sum(profile.kernels.values()) / order["steps"],
                    "busy": profile.busy / profile.seconds,
                    "transposes": sum(n for name, n in profile.kernels.items() if "nchwToNhwc" in name),
                }
            if places is not None:
                answer |= {"syncs": len(places) / order["steps"], "places": Counter(places).most_common(8)}
            self._answer(answer)
        leave()

    def seek(self, epoch: int, batch: int) -> None:
        """All batches are alike."""


def leave() -> NoReturn:
    """End the process from inside a training loop."""
    sys.stdout.flush()
    os._exit(0)


def _normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(value, device=images.device).view(1, 3, 1, 1) for value in (MEAN, STD))
    return images.float().sub_(mean).div_(std)


def make_network(model: str) -> nn.Module:
    """Mild's network: torchvision's ResNet with BlurPool, in ``channels_last``."""
    import torchvision
    from composer.algorithms.blurpool import apply_blurpool

    network = getattr(torchvision.models, model)(num_classes=CLASSES)
    apply_blurpool(network, replace_convs=True, replace_maxpools=True, blur_first=True, min_channels=16)
    return network.to(memory_format=torch.channels_last)


def _amp(case: Case) -> Any:
    return torch.autocast(case.device.kind, torch.float16, enabled=case.precision == "amp_fp16")


# Ours.


def ours(case: Case, batches: Paced, speed: str) -> None:
    """This project's trainer: the recipe with its optimizer, algorithms and callbacks."""
    from composer.utils import dist
    from hydra import compose, initialize_config_dir

    from resnet_exp.config import resolvers
    from resnet_exp.config.finalize import finalize
    from resnet_exp.launch.config_file import write_config
    from resnet_exp.training import loaders, trainer
    from resnet_exp.training.speed import compilation

    compilation.BACKEND = case.backend
    device = "auto" if case.device.kind == "cuda" else "cpu"
    words = [
        f"recipe={case.recipe}", f"model={case.model}", "dataset=imagenet", "dataset.dir=/tmp", "data=synthetic",
        "ssr=1", "data.loader.distinct_images=2", "data.loader.val_images=2", f"resolution.train={case.largest}",
        f"train_batch_size={case.batch}", "eval_batch_size=2", f"optimizer.lr={LR}",
        *WITHOUT[case.recipe], "loggers=[]", f"hardware={device}", f"runs_dir={tempfile.mkdtemp()}",
        f"hardware.device_train_microbatch_size={case.microbatch}", "eval_interval=1000ep",
        "checkpoint_interval=1000ep", f"speed={speed}",
    ]  # fmt: skip
    resolvers.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = finalize(compose("config", words), words)
    config.folder.checkpoints.mkdir(parents=True)
    write_config(config.folder, config)
    dist.initialize_dist(trainer.build_device(config.hardware))
    build = loaders.build_loader
    trainer.build_loader = lambda config, train: batches if train else build(config, train)
    trainer.Training(config, config.folder).trainer.fit()


# By hand.


def bare(case: Case, batches: Paced, compiled: bool) -> None:
    """The same arithmetic as a hand-written loop of PyTorch, with lists of weights where that is faster."""
    network = make_network(case.model).to(case.device.torch).train()
    weights = list(network.parameters())
    averaged = [tensor.detach().clone() for tensor in (*weights, *network.buffers()) if tensor.is_floating_point()]
    momenta = [torch.zeros_like(weight) for weight in weights]
    scaler = torch.amp.GradScaler(case.device.kind, enabled=case.precision == "amp_fp16")
    stepper = _Stepper(weights, momenta)
    forward = torch.compile(network, dynamic=False, backend=case.backend) if compiled else network
    for number, (images, labels) in enumerate(batches, 1):
        for part, targets in zip(images.split(case.microbatch), labels.split(case.microbatch), strict=True):
            with _amp(case):
                logits = forward(_normalized(part))
                soft = torch.full_like(logits, SMOOTHING / CLASSES)
                soft.scatter_(1, targets[:, None], 1 - SMOOTHING + SMOOTHING / CLASSES)
                loss = functional.binary_cross_entropy_with_logits(logits, soft, reduction="sum") / len(images)
            scaler.scale(loss).backward()
        scaler.step(stepper)
        scaler.update()
        stepper.zero_grad()
        if number % EMA_STEPS == 0:
            now = [tensor.detach() for tensor in (*weights, *network.buffers()) if tensor.is_floating_point()]
            torch._foreach_lerp_(averaged, now, 1 - EMA_SMOOTHING)


class _Stepper(torch.optim.Optimizer):
    """SGD with momentum and decoupled weight decay."""

    def __init__(self, weights: list[nn.Parameter], momenta: list[torch.Tensor]) -> None:
        super().__init__(weights, {"lr": LR})
        self.weights, self.momenta = weights, momenta

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        if self.weights[0].device.type == "cpu":  # as torch's own optimizers choose
            for weight, momentum in zip(self.weights, self.momenta, strict=True):
                assert weight.grad is not None
                momentum.mul_(MOMENTUM).add_(weight.grad)
                weight.mul_(1 - DECAY).add_(momentum, alpha=-LR)
            return
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        torch._foreach_mul_(self.momenta, MOMENTUM)
        torch._foreach_add_(self.momenta, gradients)
        torch._foreach_mul_(self.weights, 1 - DECAY)
        torch._foreach_add_(self.weights, self.momenta, alpha=-LR)


# Others.


def composer_as_it_is(case: Case, batches: Paced) -> None:
    """Composer's trainer with its own algorithms, optimizer and training metric."""
    import composer
    from composer import algorithms
    from composer.core import DataSpec
    from composer.loss import binary_cross_entropy_with_logits
    from composer.models import ComposerClassifier
    from composer.optim import DecoupledSGDW
    from torchvision import models

    network = getattr(models, case.model)(num_classes=CLASSES)
    model = ComposerClassifier(network, num_classes=CLASSES, loss_fn=binary_cross_entropy_with_logits)
    trainer = composer.Trainer(
        model=model,
        train_dataloader=DataSpec(
            batches,
            batch_transforms=lambda batch: (_normalized(batch[0]), batch[1]),
            get_num_samples_in_batch=lambda batch: len(batch[1]),
        ),
        optimizers=DecoupledSGDW(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY),
        algorithms=[
            algorithms.BlurPool(replace_convs=True, replace_maxpools=True, blur_first=True, min_channels=16),
            algorithms.ChannelsLast(),
            algorithms.EMA(half_life="100ba", update_interval="20ba"),
            algorithms.LabelSmoothing(SMOOTHING),
        ],
        max_duration="90ep",
        precision=case.precision,
        device="gpu" if case.device.kind == "cuda" else "cpu",
        device_train_microbatch_size=case.microbatch,
        progress_bar=False,
        loggers=[],
    )
    trainer.fit()


def timm(case: Case, batches: Paced) -> None:
    """The step of timm's ``train.py`` (1.0), with its loss, optimizer, scaler and moving average."""
    from timm.loss import BinaryCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.utils import ModelEmaV3, NativeScaler

    network = make_network(case.model).to(case.device.torch).train()
    optimizer = create_optimizer_v2(network, opt="sgd", lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    average, loss_of = ModelEmaV3(network, decay=0.9998), BinaryCrossEntropy(SMOOTHING, sum_classes=True)
    scaler = NativeScaler(case.device.kind) if case.precision == "amp_fp16" else None
    for number, (images, labels) in enumerate(batches, 1):
        parts = list(zip(images.split(case.microbatch), labels.split(case.microbatch), strict=True))
        for index, (part, targets) in enumerate(parts, 1):
            with _amp(case):
                loss = loss_of(network(_normalized(part)), targets) / len(parts)
            if scaler:
                scaler(loss, optimizer, parameters=network.parameters(), need_update=index == len(parts))
            else:
                loss.backward()
        if not scaler:
            optimizer.step()
        optimizer.zero_grad()
        average.update(network, step=number)


def torchvision_reference(case: Case, batches: Paced) -> None:
    """The step of torchvision's ``references/classification/train.py`` (0.29), which no wheel has."""
    network = make_network(case.model).to(case.device.torch).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    scaler = torch.amp.GradScaler(case.device.kind) if case.precision == "amp_fp16" else None
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9998), use_buffers=True
    )
    for number, (images, labels) in enumerate(batches):
        optimizer.zero_grad()
        correct = total = 0.0
        for part, targets in zip(images.split(case.microbatch), labels.split(case.microbatch), strict=True):
            with _amp(case):
                output = network(_normalized(part))
                loss = criterion(output, targets) * len(part) / len(images)
            (scaler.scale(loss) if scaler else loss).backward()
            _, predicted = output.topk(5, 1)
            hits = predicted.t().eq(targets[None])
            correct += hits[:1].flatten().sum().item() + hits.flatten().sum().item()
            total += loss.item()
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        if number % 32 == 0:
            average.update_parameters(network)


FAST = "ours, fast"
BARE = "bare loop"
CONTENDERS: dict[str, Callable[[Case, Paced], None]] = {
    "ours, faithful": lambda case, batches: ours(case, batches, "faithful"),
    FAST: lambda case, batches: ours(case, batches, "fast"),
    BARE: lambda case, batches: bare(case, batches, compiled=False),
    "bare loop, compiled": lambda case, batches: bare(case, batches, compiled=True),
    "timm": timm,
    "torchvision reference": torchvision_reference,
    "Composer": composer_as_it_is,
}
COMPILED = (FAST, "bare loop, compiled")


def serve(name: str, model: str, batch: int, microbatch: int, kind: str, *more: str) -> None:
    """A contender's process: an order for each line of standard input, an answer for each on standard output."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    recipe, largest, backend = more
    case = Case(model, batch, microbatch, make_device(kind), recipe, int(largest), backend)

    def answer(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    CONTENDERS[name](case, Paced(case, map(json.loads, sys.stdin), answer))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
