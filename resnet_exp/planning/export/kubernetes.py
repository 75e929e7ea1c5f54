"""A Kubernetes Job: one pod for each run, in our image, with checkpoints on a volume."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from resnet_exp.core.errors import EXIT_BAD_REQUEST, RequestError
from resnet_exp.planning.export import work as of
from resnet_exp.planning.export.work import Document, Work, Written
from resnet_exp.sweep.launchers.slurm import resources

# Claims, which the cluster's owner makes: where results go, and where images lie.
RUNS_CLAIM, DATA_CLAIM = "resnet-exp-runs", "resnet-exp-data"
# The folder of /dev/shm: NCCL takes 1 GB for several GPUs (NVIDIA's advice), loader processes take the rest.
SHARED_MEMORY = "8Gi"
SCRIPTS = "/sweep"
# Of the image: init, and the program.
ENTRY = ("/usr/bin/tini", "-g", "--")
USER = 1000
# Starts of one run that may fail; those that end with their node do not count.
RETRIES = 3
# Kubernetes takes no larger ConfigMap.
MOST_BYTES = 2**20


def write_job(work: Work, path: str, command: str, image: str | None) -> Written:
    """A Job, for a sweep with an index for each run.

    Args:
        work: what is to be run.
        path: of the file.
        command: that writes the file.
        image: that nodes can pull.

    Raises:
        RequestError: pods cannot do that.
    """
    of.check_one_hardware(work, "a Kubernetes Job")
    of.check_absolute(work, "a pod")
    for words in work.run_words:
        of.check_in_image(words, "a Kubernetes Job")
    if work.search:
        raise RequestError("a search chooses its runs one after the other; use --write sky or --write compose for it")
    of.check_hardware_named(work)
    if image is None:
        raise RequestError("--write k8s needs --image NAME, which nodes can pull: make image, tag it, push it")
    commands = [of.placed(words, {"runs_dir": of.RUNS}) for words in work.run_words]
    documents = [_job(work, image, commands)]
    if len(commands) > 1:
        documents.insert(0, _scripts(work.name, commands))
    start = shlex.join(["kubectl", "apply", "-f", path])
    needs = [f"a volume claim {RUNS_CLAIM}" + (" that pods on several nodes can write" if len(commands) > 1 else "")]
    if folder := _data_folder(work):
        needs.append(f"a volume claim {DATA_CLAIM} with what is in {folder}")
    needs += of.local_settings()
    return Written(of.yaml_text(of.head_of(command, start), *documents), start, tuple(needs))


def _scripts(name: str, commands: Sequence[Sequence[str]]) -> Document:
    """A shell script for each index."""
    scripts = {str(index): f"exec {shlex.join(['resnet_exp', *words])}\n" for index, words in enumerate(commands)}
    if (size := sum(map(len, scripts.values()))) > MOST_BYTES:
        raise RequestError(f"{len(commands):,} runs take {size:,} bytes, and a ConfigMap has {MOST_BYTES:,}; "
                           "write a file for each part of the sweep")  # fmt: skip
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": scripts}


def _job(work: Work, image: str, commands: Sequence[Sequence[str]]) -> Document:
    several = len(commands) > 1
    spec: Document = {
        # Kubernetes gives each pod its index, with one run as with many.
        "completionMode": "Indexed",
        "completions": len(commands),
        "parallelism": len(commands),
        "backoffLimitPerIndex": RETRIES,
        "maxFailedIndexes": len(commands),
        "podFailurePolicy": {"rules": [
            # Pods of a drained, preempted or lost node start again as often as needed, from the last checkpoint.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [EXIT_BAD_REQUEST]}},
        ]},
        "template": {"metadata": {"labels": {"app": work.name}}, "spec": _pod(work, image, commands, several)},
    }  # fmt: skip
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": work.name}, "spec": spec}


def _pod(work: Work, image: str, commands: Sequence[Sequence[str]], several: bool) -> Document:
    read = _data_folder(work)
    volumes: list[Document] = [
        {"name": "runs", "persistentVolumeClaim": {"claimName": RUNS_CLAIM}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
    ]
    mounts: list[Document] = [
        {"name": "runs", "mountPath": of.RUNS, "subPath": "runs"},
        {"name": "runs", "mountPath": of.CACHE, "subPath": "cache"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    if read:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": DATA_CLAIM, "readOnly": True}})
        mounts.append({"name": "data", "mountPath": read, "readOnly": True})
    if several:
        volumes.append({"name": "sweep", "configMap": {"name": work.name}})
        mounts.append({"name": "sweep", "mountPath": SCRIPTS, "readOnly": True})
        # Kubernetes puts in the index.
        run = [*ENTRY, "sh", f"{SCRIPTS}/$(JOB_COMPLETION_INDEX)"]
    else:
        run = [*ENTRY, "resnet_exp", *(word.replace("$(", "$$(") for word in commands[0])]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": of.GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "containers": [
            {
                "name": "train",
                "image": image,
                "command": run,
                "env": _environment(work),
                "resources": _resources(work),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _data_folder(work: Work) -> str | None:
    """The folder above all that is read, which the claim is; None if nothing is."""
    read = of.folders_read(work)
    if not read:
        return None
    above = os.path.commonpath([os.path.dirname(path) for path in read])
    if above == "/":
        raise RequestError(f"{' and '.join(read)}: one volume has the data; put it below one folder, such as /data")
    return above


def _environment(work: Work) -> list[Document]:
    # Ranks of a pod are on one host: NCCL needs /dev/shm, and no network.
    return [{"name": "NCCL_DEBUG", "value": "WARN"}] if work.hardware.gpus_per_node > 1 else []


def _resources(work: Work) -> Document:
    asked = resources(work.hardware)
    gpus: Document = {"nvidia.com/gpu": asked.gpus_per_node} if asked.gpus_per_node else {}
    cpus: Document = {"cpu": max(1, asked.cpus_per_task * 9 // 10)} if asked.cpus_per_task else {}
    memory: Document = {"memory": f"{asked.mem_gb}Gi"} if asked.mem_gb else {}
    found: Document = {"requests": {**cpus, **memory, **gpus}}
    return {**found, "limits": gpus} if gpus else found
