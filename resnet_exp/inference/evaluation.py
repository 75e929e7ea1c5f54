"""Evaluate a model with the trainer, the loaders and the metrics of a run: the same numbers, to the last digit."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed
from composer import Trainer
from composer.core import Callback, Evaluator, Precision, State
from composer.loggers import Logger
from composer.models import ComposerClassifier
from composer.utils import dist
from torch import nn

from resnet_exp.config.schema import OptimizerConfig, RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine.processes import variables_kept
from resnet_exp.core.terminal import console
from resnet_exp.data.contract import IGNORED, Batch
from resnet_exp.inference.data import READ, evaluation_config
from resnet_exp.inference.metrics import Bin, Calibration, PerClass
from resnet_exp.inference.models import Model
from resnet_exp.launch.dataset import changed_data, scan_of
from resnet_exp.launch.prepare import prepare_data
from resnet_exp.launch.ranks import RENDEZVOUS
from resnet_exp.training.algorithms.order import listed_order
from resnet_exp.training.instantiate import build_named
from resnet_exp.training.loaders import Normalize, _normalize, build_loader, normalized
from resnet_exp.training.model import build_model, evaluation_metrics
from resnet_exp.training.speed import compilation
from resnet_exp.training.trainer import build_device, build_optimizer, wanted_algorithms


@dataclass(frozen=True)
class ClassResult:
    """One class: its images, which share of them was right, and which share of the answers with its name was."""

    name: str
    images: int
    top1: float
    precision: float | None


@dataclass(frozen=True)
class SizeResult:
    """Accuracies (fractions) and cross entropy at one size: short side before the crop, and side of the crop."""

    resize: int
    crop: int
    top1: float
    top5: float
    loss: float


@dataclass(frozen=True)
class Evaluated:
    """The evaluation of a model.

    Attributes:
        model: its name.
        data_set: the images.
        images: how many, each seen once.
        resize: short side that they were resized to, in pixels.
        crop: side of the square that the network saw.
        top1: a fraction, as `top5`.
        top5: of fewer than 5 classes, 1.
        loss: cross entropy of the softmax.
        ece: expected calibration error, a fraction, in 15 bins (Guo et al., 2017, arXiv:1706.04599).
        classes: each class that has images.
        bins: the 15 bins, from low to high confidence.
        sizes: the same images at other sizes.
        device: ``cpu`` or ``gpu``.
        precision: of the computation.
        seconds: of the evaluation at `crop`, with loading the images.
        notes: what differs from the run's own evaluation.
    """

    model: str
    data_set: str
    images: int
    resize: int
    crop: int
    top1: float
    top5: float
    loss: float
    ece: float
    classes: tuple[ClassResult, ...]
    bins: tuple[Bin, ...]
    sizes: tuple[SizeResult, ...]
    device: str
    precision: str
    seconds: float
    notes: tuple[str, ...] = ()


class Relabel:
    """Normalize a batch, and give its labels the numbers of the model's classes."""

    def __init__(self, normalize: Normalize, numbers: Sequence[int]) -> None:
        """`numbers`: of the classes of the data set, in their order."""
        self._normalize, self._numbers = normalize, torch.tensor(numbers)

    def __call__(self, batch: Batch) -> Batch:
        """Shapes NCHW and N, on the device."""
        images, labels = self._normalize(batch)
        known = self._numbers.to(labels.device)[labels.clamp(min=0)]
        return images, torch.where(labels == IGNORED, labels, known)


class _Shown(Callback):
    """One line on the terminal that says how far an evaluation is: a callback of Composer 0.32.1."""

    def eval_batch_end(self, state: State, logger: Logger) -> None:
        """Write it."""
        if dist.get_global_rank() == 0:
            console.status(f"evaluated {state.eval_timestamp.batch.value} of {state.dataloader_len or '?'} batches")


def evaluate_model(model: Model, words: Sequence[str] = (), crops: Sequence[int] = ()) -> Evaluated:
    """Evaluate a model on the images of its run, or on others.

    Every rank of ``torchrun`` computes its share, and all return the same.

    Args:
        model: from `resnet_exp.inference.models.open_model`.
        words: overrides such as ``dataset=imagenet dataset.dir=PATH``; none: the images of its run.
        crops: sides in pixels to evaluate at as well; the short side before the crop keeps its ratio to it.

    Raises:
        RequestError: the model or the images are of no use.
        RunFailed: an image cannot be read.
    """
    config = evaluation_config(model, words)
    prepare_data(config, splits=READ)
    with _process_group(config), torch.random.fork_rng(), warnings.catch_warnings():
        # Of microbatches and of resuming, which an evaluation has none of.
        warnings.filterwarnings("ignore", category=UserWarning, module="composer")
        return _evaluate(model, config, crops)


def _evaluate(model: Model, config: RunConfig, crops: Sequence[int]) -> Evaluated:
    classifier, trainer = _trainer(model, config)
    outputs = int(classifier.num_classes)  # pyright: ignore[reportArgumentType]
    names = model.description.classes or tuple(map(str, range(outputs)))
    numbers, notes = class_numbers(model, config, outputs)
    sizes = config.resolution
    since = time.perf_counter()
    metrics, images = _measure(trainer, config, numbers)
    seconds = time.perf_counter() - since
    per_class, calibration = metrics["per_class"], metrics["ece"]
    assert isinstance(per_class, PerClass) and isinstance(calibration, Calibration)
    others: list[SizeResult] = []
    for crop in crops:
        resized = replace(sizes, eval_crop=crop, eval_resize=round(crop * sizes.eval_resize / sizes.eval_crop))
        found, _ = _measure(trainer, replace(config, resolution=resized), numbers)
        others.append(SizeResult(resized.eval_resize, crop, *_accuracies(found)))
    top1, top5, loss = _accuracies(metrics)
    console.status("")
    return Evaluated(
        model=model.description.name, data_set=_data_name(config), images=images,
        resize=sizes.eval_resize, crop=sizes.eval_crop,
        top1=top1, top5=top5, loss=loss, ece=float(calibration.compute()),
        classes=tuple(_class_results(names, per_class)), bins=tuple(calibration.bins), sizes=tuple(others),
        device=config.hardware.device, precision=config.hardware.precision, seconds=seconds, notes=tuple(notes),
    )  # fmt: skip


def _accuracies(metrics: dict[str, object]) -> tuple[float, float, float]:
    top1, top5, loss = (float(metrics[name].compute()) for name in ("top1", "top5", "loss"))  # pyright: ignore
    return top1, top5, loss


def _class_results(names: Sequence[str], metric: PerClass) -> Iterator[ClassResult]:
    metric.compute()
    for name, (right, images, answers) in zip(names, metric.table, strict=True):
        if images:
            yield ClassResult(name, images, right / images, right / answers if answers else None)


def _data_name(config: RunConfig) -> str:
    return config.dataset.name if not config.dataset.dir else f"{config.dataset.name} in {config.dataset.dir}"


def _trainer(model: Model, config: RunConfig) -> tuple[ComposerClassifier, Trainer]:
    """A trainer that has what the run's had at its last evaluation."""
    device = build_device(config.hardware)
    if model.run is not None:
        classifier = build_model(model.run.model)
        algorithms = build_named("algorithms", wanted_algorithms(model.run))
    else:
        network = model.make()
        classifier, algorithms = ComposerClassifier(network, num_classes=_outputs(network, config)), []
    outputs = int(classifier.num_classes)  # pyright: ignore[reportArgumentType]
    classifier.val_metrics = evaluation_metrics(outputs)
    classifier.val_metrics.add_metrics({"per_class": PerClass(outputs), "ece": Calibration()})
    trainer = Trainer(
        model=classifier,
        algorithms=algorithms,
        algorithm_passes=listed_order,
        optimizers=build_optimizer(classifier.parameters(), OptimizerConfig(lr=1, momentum=0, weight_decay=0)),
        callbacks=[_Shown()],
        precision=Precision(config.hardware.precision),
        device=device,
        progress_bar=False,
        seed=config.seed,
        deterministic_mode=model.run is not None and model.run.deterministic,
    )
    if model.run is not None:
        _load(classifier.module, model)
        if model.run.speed.compile:  # its roundings are others
            compilation.compile_network(classifier.module)
    return classifier, trainer


def _load(network: nn.Module, model: Model) -> None:
    assert model.weights is not None
    try:
        network.load_state_dict(model.weights)
    except RuntimeError as error:
        raise RequestError(
            f"{model.description.name}: its weights are not those of its config.yaml; give another run"
        ) from error


@torch.inference_mode()
def _outputs(network: nn.Module, config: RunConfig) -> int:
    side = config.resolution.eval_crop
    return network.eval()(torch.zeros(1, 3, side, side)).shape[1]


def _measure(trainer: Trainer, config: RunConfig, numbers: Sequence[int] | None) -> tuple[dict[str, object], int]:
    """The metrics of one evaluation, and the number of images."""
    loader = build_loader(config, train=False)
    normalize = _normalize(config, trainer.state.device, train=False)
    spec = normalized(loader, normalize)
    if numbers is not None:
        spec.batch_transforms = Relabel(normalize, numbers)  # pyright: ignore[reportAttributeAccessIssue]
    label = f"{config.resolution.eval_resize}-{config.resolution.eval_crop}"
    trainer.state.eval_metrics.pop(label, None)
    trainer.eval([Evaluator(label=label, dataloader=spec)])
    if (close := getattr(loader, "close", None)) is not None:
        close()
    return dict(trainer.state.eval_metrics[label]), loader.images


def class_numbers(model: Model, config: RunConfig, outputs: int) -> tuple[list[int] | None, list[str]]:
    """The model's numbers of the classes of the images, None if they are the same; and notes.

    Raises:
        RequestError: the model does not know the classes of the images.
    """
    scan = scan_of(config, "val")
    notes = [f"the images are not those of the run: {why}" for _, why in changed_data([_as_trained(model, config)])]
    known, found = model.description.classes, [] if scan is None else scan.classes
    count = len(found) or config.dataset.num_classes or outputs
    if known and found and set(found) <= set(known):
        return (None if tuple(found) == known else [known.index(name) for name in found]), notes
    if count == outputs and (model.run is None or not (known and found)):
        if known and found:
            notes.append("classes are matched by their order: the model has other names for them than the folders")
        return None, notes
    strange = next((name for name in found if name not in known), None)
    named = f", such as {strange}" if strange is not None and known else ""
    raise RequestError(
        f"{_data_name(config)} has {count} classes{named}, {model.description.name} knows {outputs} others; give "
        "images of its classes"
    )


def _as_trained(model: Model, config: RunConfig) -> RunConfig:
    """The run with the images of this evaluation; a file of weights has nothing to compare."""
    return config if model.run is None else replace(model.run, dataset=config.dataset, data=config.data)


@contextmanager
def _process_group(config: RunConfig) -> Iterator[None]:
    """Connect to the other ranks of ``torchrun``, if any.

    Composer notes in the environment that this is rank 0. What this process starts later must not take itself for it.
    """
    ours = not torch.distributed.is_initialized()
    with variables_kept(RENDEZVOUS):
        dist.initialize_dist(build_device(config.hardware))
        try:
            yield
        finally:
            if ours and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
