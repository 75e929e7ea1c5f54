"""Parts 3 and 7: images arrive whole however late the GPU is, and fast enough."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import data_loaders
import step_contenders
import torch
from torch import nn

from resnet_exp.data import ffcv
from resnet_exp.data.contract import Split

from .context import Context

# The GPU is this far behind the host, in seconds for each batch.
BEHIND = 0.02
WAIT = 120


def photographs(context: Context) -> None:
    """Generate photographs, and convert them to FFCV's format as the published runs did."""
    from resnet_exp.core.machine.devices import usable_cpus
    from resnet_exp.data.conversion.process import ConversionOptions
    from resnet_exp.data.ffcv.files import FFCVFiles

    began = time.perf_counter()
    data_loaders.IMAGES = min(data_loaders.IMAGES, context.scale.photographs)
    data_loaders.generate(context.photographs)
    # The same photographs again, under other names: grain takes longer than decoding.
    train = context.photographs / "train"
    for path in sorted(train.glob("*/*.jpg")):
        for copy in range(1, context.scale.photographs // data_loaders.IMAGES):
            path.with_stem(f"{path.stem}-{copy}").symlink_to(path)
    generated = time.perf_counter() - began
    files = FFCVFiles(**_settings(context))
    files.prepare(str(context.photographs), ConversionOptions(usable_cpus(), lambda text: None))
    context.write(what="photographs", seconds=generated, conversion_seconds=time.perf_counter() - began - generated)


def _settings(context: Context) -> dict[str, Any]:
    return {**data_loaders.FILES, "write_mode": "proportion", "cache_dir": str(context.folder / "cache")}


def _loader(context: Context, on_gpu: bool, threads: int = 1, side: int | None = None, batch: int = 0) -> Any:
    largest = max(side for side in context.scale.sides if side <= data_loaders.FULL)
    split = Split(
        train=True, root=str(context.photographs), classes=2, batch_size=batch or min(64, context.scale.batch),
        crop=largest, resize=232, crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=17, rank=0,
        world_size=1, num_workers=threads, prefetch_factor=2, on_gpu=on_gpu,
        side_at=None if side is None else lambda epoch, batch, batches: side,
    )  # fmt: skip
    return ffcv.make_loader(split, os_cache=True, **_settings(context))


def late(context: Context) -> None:
    """Every image's sum on a GPU that is many batches behind, against the loader of a CPU."""
    on_gpu = context.device.kind == "cuda"
    right = [_sums(images).tolist() for images, _ in _loader(context, on_gpu=False)]
    found = []
    for images, _ in _loader(context, on_gpu):
        context.device.busy(BEHIND)
        found.append(_sums(images))
    wrong = sum(one.tolist() != other for one, other in zip(found, right, strict=True))
    context.write(what="late GPU", batches=len(right), wrong=wrong, device=context.device.current(), ok=wrong == 0)


def _sums(images: torch.Tensor) -> torch.Tensor:
    return images.to(torch.int64).sum((1, 2, 3))


def layout(context: Context) -> None:
    """Every convolution works on ``channels_last``; copies to the GPU run beside the kernels of a fed loop."""
    network = step_contenders.make_network(context.scale.model).to(context.device.torch)
    wrong: list[str] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(_watch(name, wrong))
    batches = iter(_loader(context, context.device.kind == "cuda"))
    _train(network, next(batches)[0])
    with context.device.profiled() as profile:
        for images, _ in _some(batches, 3):
            _train(network, images)
    context.write(
        what="layout", not_channels_last=sorted(set(wrong)), copies_beside_kernels=profile.overlapped,
        transposes=sum(count for name, count in profile.kernels.items() if "nchwToNhwc" in name), ok=not wrong,
    )  # fmt: skip


def _some(batches: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        yield next(batches)


def _watch(name: str, wrong: list[str]) -> Any:
    def look(module: nn.Module, taken: Any, given: torch.Tensor) -> None:
        for tensor in (*taken, given):
            if not tensor.is_contiguous(memory_format=torch.channels_last):
                wrong.append(name)

    return look


def _train(network: nn.Module, images: torch.Tensor) -> None:
    network(images.float().div_(255)).square().mean().backward()


def alone(context: Context) -> None:
    """The loader without training, by its threads."""
    for side in (None, min(context.scale.sides)):
        for threads in context.scale.threads:
            loader = _loader(context, context.device.kind == "cuda", threads, side, context.scale.batch)
            _count(loader)  # compiles
            context.device.synchronize()
            began = time.perf_counter()
            images = _count(loader)
            context.device.synchronize()
            speed = images / (time.perf_counter() - began)
            context.write(contender="loader alone", threads=threads, px=side or "full", images_per_second=speed)


def _count(loader: Any) -> int:
    return sum(len(labels) for _, labels in loader)


def trained(context: Context) -> None:
    """Real runs from FFCV's files: images/s, and the share of time in which they waited for data."""
    scale = context.scale
    for side in (max(each for each in scale.sides if each <= data_loaders.FULL), min(scale.sides)):
        runs = context.folder / f"fed-{side}"
        words = [
            "recipe=mild", "data=ffcv", "dataset=imagefolder", f"dataset.dir={context.photographs}",
            f"model={scale.model}", "~algorithms.progressive_resizing", f"resolution.train={side}",
            f"train_batch_size={scale.batch}", f"eval_batch_size={scale.batch}", "optimizer.lr=0.1", "ssr=1",
            f"schedule.max_duration={scale.batches}ba", "schedule.warmup=2ba", f"runs_dir={runs}",
        ]  # fmt: skip
        code = context.start(words).wait(WAIT)
        found: dict[str, object] = {"px": side, "exit_code": code, "ok": code == 0}
        if code == 0:
            result = json.loads((context.only_run(runs) / "result.json").read_text())
            timing = result["timing"]
            found |= {"images_per_second": result["images_per_second"]}
            found |= {"waiting": timing["data_wait_seconds"] / timing["train_seconds"]}
        context.write(contender="ours, fed by FFCV", **found)
