"""What torch sees, and whether the ranks reach each other: in processes of their own, as a run has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from resnet_exp.config import disk_usage
from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import byte_size, plural
from resnet_exp.data import formats
from resnet_exp.diagnosis.subject import Subject, ask_child
from resnet_exp.launch.preflight import Findings
from resnet_exp.launch.rendezvous import Rendezvous, find_rendezvous, held_port

PROBE = "resnet_exp.training.rank.probe"
# The imports may come from a cold network disk.
PATIENCE_SECONDS = 180
INSTALL = "run make setup, or install the wheel into an environment of its own"
# Below this share of its memory, a GPU is in use by somebody else.
FREE_SHARE = 0.9
# Part of a step that the sum of gradients may take, at most: it is hidden behind the backward pass, two thirds of it.
HIDDEN_SHARE = 0.6


def check_ranks(subject: Subject) -> Findings:
    """Import what a rank imports, compute on each GPU, and sum the gradients' bytes over the ranks."""
    config, hardware = subject.config, subject.config.hardware
    place, alone = _place(hardware)
    if alone is not None:
        yield alone
    ranks = hardware.ranks_per_node
    size = disk_usage.weight_bytes(config)
    try:
        with held_port(place) as port:
            launcher = [] if ranks * place.nodes == 1 else _launcher(ranks, place, port)
            said = ask_child(PROBE, hardware.device, str(size), seconds=PATIENCE_SECONDS, launcher=launcher)
    except RequestError as error:
        yield Finding("torch", "bad", f"a rank that does nothing but import and compute ends badly: {error}", INSTALL)
        return
    answers = sorted(said, key=lambda answer: answer["rank"])
    yield from _packages(answers[0]["imports"], needs_ffcv=formats.format_of(config.data.loader) is formats.FFCV)
    if failed := [answer for answer in answers if "error" in answer]:
        found = "; ".join(f"rank {answer['rank']}: {answer['error']}" for answer in failed[:2])
        yield Finding("ranks", "bad", found, _way_on(hardware))
        return
    if hardware.device == "gpu":
        yield from _gpus(answers)
    if "sum_seconds" in answers[0]:
        yield _sum(subject, size, max(answer["sum_seconds"] for answer in answers), ranks * place.nodes)


def _place(hardware: HardwareConfig) -> tuple[Rendezvous, Finding | None]:
    try:
        return find_rendezvous(hardware), None
    except RequestError:
        found = f"of {hardware.nodes} nodes, only this one can be tried from here"
        fix = f"in an allocation: srun --ntasks={hardware.nodes} --ntasks-per-node=1 resnet_exp doctor ..."
        return find_rendezvous(replace(hardware, nodes=1)), Finding("nodes", "note", found, fix)


def _launcher(ranks: int, place: Rendezvous, port: int) -> list[str]:
    node = (f"--nnodes={place.nodes}", f"--node-rank={place.node}")
    address = (f"--master-addr={place.host}", f"--master-port={port}")
    return ["-m", "torch.distributed.run", *node, f"--nproc-per-node={ranks}", *address]


def _way_on(hardware: HardwareConfig) -> str:
    if hardware.device == "cpu":
        return "see the line above; python -m torch.utils.collect_env shows more"
    return "compare nvidia-smi and CUDA_VISIBLE_DEVICES with hardware.devices; NCCL_DEBUG=INFO shows what NCCL tries"


def _packages(imports: dict[str, dict[str, str]], needs_ffcv: bool) -> Findings:
    versions = [f"{name} {found['version']}" for name, found in imports.items() if "version" in found]
    yield Finding("torch", "ok", ", ".join(versions))
    for name, found in imports.items():
        if "error" in found:
            spare = name == "ffcv" and not needs_ffcv
            fix = f"{INSTALL}; data=imagefolder needs no FFCV" if name == "ffcv" else INSTALL
            yield Finding(name, "note" if spare else "bad", f"{name} cannot be imported: {found['error']}", fix)


def _gpus(answers: list[dict[str, Any]]) -> Findings:
    listed, seen = len(devices.visible_gpus()), answers[0]["gpus"]
    if listed != seen:
        fix = "compare CUDA_VISIBLE_DEVICES, MIG and nvidia-smi -L; a GPU that was lost needs a restart of the machine"
        yield Finding("GPUs", "bad", f"the driver lists {plural(listed, 'GPU')}, CUDA sees {seen}", fix)
    used = [answer for answer in answers if answer["free_bytes"] < FREE_SHARE * answer["total_bytes"]]
    for answer in used:
        room = f"{byte_size(answer['free_bytes'])} of {byte_size(answer['total_bytes'])} free"
        found = f"the GPU of rank {answer['rank']} has {room}"
        yield Finding("GPUs", "note", found, "another process uses it: nvidia-smi shows which; end it, or wait")
    if listed == seen and not used:
        yield Finding("GPUs", "ok", f"{answers[0]['gpu']}: computes, {byte_size(answers[0]['free_bytes'])} free")


def _sum(subject: Subject, size: int, seconds: float, world: int) -> Finding:
    backend = "NCCL" if subject.config.hardware.device == "gpu" else "gloo"
    found = f"{world} ranks sum {byte_size(size)} of gradients in {1000 * seconds:.1f} ms ({backend})"
    plan = subject.plan
    if plan is not None and seconds > HIDDEN_SHARE * plan.step_seconds:
        found += f", a step shall take {1000 * plan.step_seconds:.1f} ms"
        return Finding("ranks", "note", found, "see NCCL_DEBUG=INFO for the links that it uses; docs/gpu.md")
    return Finding("ranks", "ok", found)
