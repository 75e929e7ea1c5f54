"""What people type that other programs have, and the word that this program has for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from resnet_exp.config.schema import RunConfig, SlurmLauncherConfig
from resnet_exp.core import paths

BATCH = "train_batch_size and eval_batch_size"
LENGTH = "ssr, the fraction of the recipe's epochs to train for, or schedule.max_duration=10ep"
BATCHES = "schedule.max_duration=5000ba for 5,000 batches"
RESUME = "the same command again: it continues from the last checkpoint"
FOLDER = "dataset.dir=PATH"
# By the last part of a key, in small letters and without _ and -.
KEYS = {
    **dict.fromkeys(("batchsize", "batch", "bs", "globalbatchsize"), BATCH),
    **dict.fromkeys(("lr", "learningrate", "baselr", "maxlr"), "optimizer.lr"),
    **dict.fromkeys(("wd", "decay"), "optimizer.weight_decay"),
    **dict.fromkeys(("epochs", "epoch", "maxepochs", "numepochs", "nepochs", "numtrainepochs"), LENGTH),
    **dict.fromkeys(("steps", "maxsteps", "iters", "iterations", "maxiters"), BATCHES),
    **dict.fromkeys(("warmupepochs", "warmupsteps"), "schedule.warmup=8ep"),
    **dict.fromkeys(("gpus", "numgpus", "ngpus", "ngpu", "nprocpernode"), "hardware.devices"),
    **dict.fromkeys(("numnodes", "nnodes"), "hardware.nodes"),
    **dict.fromkeys(("device", "cuda", "gpu", "accelerator"), "hardware=auto, which finds the GPUs, or hardware=cpu"),
    **dict.fromkeys(("amp", "fp16", "bf16", "mixedprecision", "dtype"), "hardware.precision=fp32|amp_fp16|amp_bf16"),
    **dict.fromkeys(("workers", "nworkers"), "data.num_workers"),
    **dict.fromkeys(("datadir", "datasetdir", "datapath", "dataroot", "root", "path", "traindir", "dir"), FOLDER),
    **dict.fromkeys(("numclasses", "nclasses", "classes"), "dataset.num_classes"),
    **dict.fromkeys(("outputdir", "outdir", "savedir", "logdir", "output", "out", "checkpointdir"), "runs_dir"),
    **dict.fromkeys(("name", "runname", "expname", "experiment", "tag"), "run_id for a run, sweep for a sweep"),
    **dict.fromkeys(("arch", "net", "backbone", "network"), "model=resnet50"),
    **dict.fromkeys(("imagesize", "imgsize", "inputsize", "imgsz", "size", "cropsize"), "resolution.train"),
    **dict.fromkeys(("valsize", "evalsize", "valcrop"), "resolution.eval_crop"),
    **dict.fromkeys(("resume", "resumefrom", "checkpoint", "ckpt", "loadpath"), RESUME),
    **dict.fromkeys(("optim", "opt"), "optimizer.lr and the like: there is only DecoupledSGDW"),
    **dict.fromkeys(("scheduler", "lrscheduler", "lrschedule"), "schedule.max_duration, .warmup and .alpha_f"),
    **dict.fromkeys(("randomseed", "rngseed"), "seed"),
    **dict.fromkeys(("logger", "tracker", "trackers"), "loggers=[progress,wandb]"),
    **dict.fromkeys(("launcher", "slurm"), "-m hydra/launcher=slurm"),
    **dict.fromkeys(
        ("smoothing", "labelsmoothing"), "+algorithms=label_smoothing algorithms.label_smoothing.smoothing"
    ),
    **dict.fromkeys(("time", "timelimit", "walltime"), "hydra.launcher.timeout_min, with -m hydra/launcher=slurm"),
}
# By group: options that do not exist, and what to use.
OPTIONS: dict[str, dict[str, str]] = {
    "hardware": {
        **dict.fromkeys(("gpu", "gpus", "cuda", "local", "here", "mps"), "hardware=auto"),
        **{"8xa100": "hardware=a100x8", "8xh100": "hardware=h100x8"},
    },
    "dataset": dict.fromkeys(("cifar10", "cifar100", "mnist", "custom", "folder", "images", "mine"), FOLDER),
    "data": dict.fromkeys(
        ("digits", "imagenet", "photos"), "dataset=digits|imagenet|photos; data= says how images are stored"
    ),
    "hydra/launcher": dict.fromkeys(("local", "joblib"), "hydra/launcher=submitit_local"),
}
# Parts of the configuration that people take for a choice.
ONLY = {
    "optimizer": "there is only DecoupledSGDW; ",
    "schedule": "there is only a linear warm-up and a cosine; ",
}


def plain(word: str) -> str:
    """A word as the tables have it: small letters and digits."""
    return re.sub(r"[^a-z0-9]", "", word.lower())


def for_key(key: str) -> str | None:
    """What to use for a key that does not exist; None if nobody knows."""
    leaf = plain(key.rpartition(".")[2])
    if leaf in KEYS:
        return KEYS[leaf]
    if found := [known for known in known_keys() if plain(known.rpartition(".")[2]) == leaf]:
        return found[0]
    for group, use in (
        ("algorithms", "+algorithms={0} to add it, ~algorithms.{0} to remove it"),
        ("loggers", "loggers=[progress,{0}]"),
        ("recipe", "recipe={0}"),
        ("model", "model={0}"),
    ):
        if found := [option for option in options_of(group) if plain(option) == leaf]:
            return use.format(found[0])
    if found := [each.name for each in fields(SlurmLauncherConfig) if plain(each.name) == leaf]:
        return f"hydra.launcher.{found[0]}, with -m hydra/launcher=slurm"
    return None


@cache
def known_keys() -> tuple[str, ...]:
    """Every key of the schema with its dots, those without dots first."""
    return tuple(sorted(_keys(RunConfig, ""), key=lambda key: key.count(".")))


def _keys(kind: type[Any], prefix: str) -> Iterator[str]:
    types = get_type_hints(kind)
    for each in fields(kind):
        yield f"{prefix}{each.name}"
        if is_dataclass(types[each.name]):
            yield from _keys(types[each.name], f"{prefix}{each.name}.")


def near_key(key: str) -> str:
    """`` (did you mean ...?)`` for a key that does not exist, or nothing."""
    leaves = {known.rpartition(".")[2]: known for known in reversed(known_keys())}
    close = difflib.get_close_matches(key.rpartition(".")[2], list(leaves), n=1, cutoff=0.75)
    return f" (did you mean {leaves[close[0]]}?)" if close else ""


def for_option(group: str, option: str, options: Sequence[str]) -> str:
    """How the line about an option that does not exist ends: what there is, and the near ones."""
    if "/" in option or option in (".", "..", "~"):
        if group in ("dataset", "data"):
            return f"use dataset.dir={option}"
        return f"use one of {', '.join(options)}; a file of yours is found with --config-dir"
    if use := OPTIONS.get(group, {}).get(plain(option)):
        return f"use {use}; or one of {', '.join(options)}"
    return f"use one of {', '.join(options)}{did_you_mean(option, options)}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`` (did you mean ...?)``, or nothing: words that begin alike, or the one with the most letters in common."""
    typed = plain(word)
    alike = [one for one in known if len(typed) > 2 and (plain(one).startswith(typed) or plain(one) in typed)]
    by_letters = {plain(one): one for one in known}
    close = alike[:3] or [by_letters[near] for near in difflib.get_close_matches(typed, list(by_letters), n=1)]
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def options_of(group: str) -> list[str]:
    """The options of a group that this package has."""
    return [path.stem for path in sorted((paths.conf_dir() / group).glob("*.yaml"))]
