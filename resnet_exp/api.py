"""What the commands do, for Python: in a notebook, or in a program of your own.

Everything heavy is imported by the function that needs it, so that ``import resnet_exp.api`` takes no time. Errors say
what to do in one line; in a notebook they are that line, without a traceback.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

    from resnet_exp.config.schema import RunConfig
    from resnet_exp.inference.classifier import Classifier, Picture, Prediction
    from resnet_exp.inference.evaluation import Evaluated
    from resnet_exp.inference.exporting import Checked
    from resnet_exp.planning.known_ways import Answer
    from resnet_exp.planning.run_plan import RunPlan
    from resnet_exp.planning.sweep_plan import SweepPlan
    from resnet_exp.runs.result import Result

__all__ = ["compose", "evaluate", "export", "load_model", "plan", "predict", "results", "train"]


def compose(overrides: str | Sequence[str] = ()) -> RunConfig:
    """Compose the configuration of a run, as the command line does.

    Args:
        overrides: what follows ``resnet_exp`` on the command line, as one text or as a list of words:
            ``"recipe=hot ssr=0.5"`` or ``["recipe=hot", "ssr=0.5"]``.

    Returns:
        The complete configuration, a dataclass. Its ``folder.path`` is where the run will be.

    Raises:
        RequestError: a setting is wrong.
    """
    from resnet_exp import cli
    from resnet_exp.config.schema import RunConfig
    from resnet_exp.core.errors import RequestError

    words = _words(overrides)
    composed = cli.compose(words)
    if not isinstance(composed, RunConfig):
        raise RequestError(f"{shlex.join(words)} is a sweep; compose its runs one by one, or start it as a command")
    return composed


def train(run: RunConfig | str | Sequence[str]) -> Result:
    """Train a run, in processes of its own, and show how far it is.

    A finished run is not trained again. A failed or interrupted one continues from its last checkpoint. Ctrl-C, or an
    interrupt of the notebook's kernel, saves a checkpoint first.

    Args:
        run: a configuration from `compose`, or what `compose` takes.

    Returns:
        The result: ``top1`` and ``top5`` as fractions, ``timing`` in seconds, ``cost_usd`` in dollars; the rest of
        ``result.json`` too.

    Raises:
        RequestError: a setting is wrong, or the run cannot start.
        RunFailed: the run failed.
        RunStopped: it was interrupted. This is a ``KeyboardInterrupt``.
    """
    from resnet_exp.config.schema import RunConfig
    from resnet_exp.core.errors import RunStopped
    from resnet_exp.launch.run import train_run

    config = run if isinstance(run, RunConfig) else compose(run)
    try:
        return train_run(config)
    except RunStopped:
        raise
    except KeyboardInterrupt:
        raise RunStopped("stopped before training began; run the same again to continue") from None


def plan(overrides: str | Sequence[str] = ()) -> RunPlan | SweepPlan | Answer:
    """What a run or a sweep would do, how long and for how much. Starts and writes nothing.

    Args:
        overrides: what follows ``resnet_exp plan`` on the command line, as one text or as a list of words. With
            ``-m``, the plan of a sweep. With ``target_top1=0.766``, the cheapest and the fastest known way there. With
            ``budget=10min`` or ``budget=10usd``, the best known top-1 for it.

    Returns:
        An object with the numbers, in seconds, dollars and fractions. Its text is what the command prints.

    Raises:
        RequestError: a setting is wrong.
    """
    from resnet_exp import cli
    from resnet_exp.config.schema import RunConfig
    from resnet_exp.core.errors import RequestError
    from resnet_exp.planning.questions import take_question
    from resnet_exp.planning.run_plan import plan_run
    from resnet_exp.planning.sweep_plan import plan_sweep

    question, words = take_question(_words(overrides))
    composed = cli.compose(words)
    if isinstance(composed, RunConfig):
        return plan_run(composed) if question is None else question.answer(composed)
    if question is not None:
        raise RequestError(f"{question.name}= looks at all runs of runs_dir and is not for a sweep; leave out -m")
    return plan_sweep(*composed, words)


def results(*folders: str | Path, published: bool = False) -> DataFrame:
    """The finished runs of some folders as a table, one row each.

    Args:
        folders: run folders, or folders of them; by default ``runs``.
        published: whether to add the published runs of ImageNet.

    Returns:
        The columns of ``runs.csv``, which docs/python.md lists with their units. ``attrs["unfinished"]`` lists the
        other runs: id, state, and why.

    Raises:
        RequestError: there is no such folder.
    """
    from resnet_exp.reporting import table_files
    from resnet_exp.results import collect, published_runs

    collected = collect.collect_runs([Path(folder).expanduser() for folder in folders or ("runs",)])
    return table_files.frame(collected, published_runs.published() if published else ())


def _words(overrides: str | Sequence[str]) -> list[str]:
    """The words of a command line."""
    from resnet_exp.core.errors import RequestError

    try:
        return shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    except ValueError as error:
        raise RequestError(f"{overrides}: {error}; give a list of words instead") from None


def load_model(model: str | Path, device: str | None = None) -> Classifier:
    """Load a trained classifier.

    Args:
        model: a run folder, a checkpoint in one, a folder or a file that ``resnet_exp export`` has written, another
            file of weights of a ResNet, ``torchvision:NAME`` or ``timm:NAME``.
        device: such as ``cuda:1``; by default the first GPU, else the CPU.

    Returns:
        An object with `predict`, `probabilities`, `network` (a ``torch.nn.Module``) and `description`.

    Raises:
        RequestError: there is no such model.
    """
    import torch

    from resnet_exp.inference.classifier import Classifier
    from resnet_exp.inference.models import open_model

    opened = open_model(str(model))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Classifier(opened.make(), opened.description, place)


def predict(model: str | Path | Classifier, images: Iterable[Picture], top: int = 5) -> list[Prediction]:
    """Classify images.

    Args:
        model: what `load_model` takes, or what it has returned.
        images: paths, Pillow images, or RGB arrays of shape HWC, 0 to 255.
        top: number of classes in each answer.

    Returns:
        One prediction for each image, in order. One that cannot be read has an ``error``.

    Raises:
        RequestError: there is no such model.
    """
    classifier = load_model(model) if isinstance(model, str | Path) else model
    return list(classifier.predict(images, top))


def evaluate(model: str | Path, *words: str, crops: Sequence[int] = ()) -> Evaluated:
    """Evaluate a model: accuracy, accuracy of each class, calibration, accuracy at other image sizes.

    With no words, on the images of its run, and with the same numbers as the run's last evaluation.

    Args:
        model: what `load_model` takes.
        words: as on the command line: ``dataset=imagenet``, ``dataset.dir=PATH``, ``data=ffcv``, ``hardware=cpu``.
        crops: sides in pixels to evaluate at as well.

    Raises:
        RequestError: the model or the images are of no use.
        RunFailed: an image cannot be read.
    """
    from resnet_exp.inference.evaluation import evaluate_model
    from resnet_exp.inference.models import open_model

    return evaluate_model(open_model(str(model)), words, crops)


def export(
    model: str | Path,
    folder: str | Path,
    *words: str,
    formats: Sequence[str] = ("safetensors", "onnx", "pt2"),
    check: bool = True,
) -> dict[str, Checked]:
    """Write a trained model for other programs, with a model card.

    Args:
        model: a run folder, a checkpoint in one, or a file of weights.
        folder: written whole or not at all; an earlier export is replaced.
        words: the images that the files are checked on, like those of `evaluate`.
        formats: ``safetensors`` is always written.
        check: evaluate each file after it was written.

    Returns:
        By format: images, top-1, and the answers that differ from the network's.

    Raises:
        RequestError: the model cannot be exported, or the folder not be written.
        RunFailed: a file gives other answers than the network.
    """
    from resnet_exp.inference.exporting import export_model
    from resnet_exp.inference.models import open_model

    return export_model(open_model(str(model)), Path(folder).absolute(), formats, check, words)
