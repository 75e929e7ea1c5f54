"""``resnet_exp plan ... --write KIND FILE``: each file by its own schema, and that it runs the words of the plan."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from resnet_exp.runs import sweep_manifest
from support.commands import TINY, RunCli
from support.paths import TESTS, pages_of_errors
from support.slurm_cluster import SlurmCluster
from support.tool_environment import tool_environment

PLAN = "resnet_exp.plan"
P4D = ("recipe=mild", "ssr=0.36", "dataset=imagenet", "hardware=p4d.24xlarge")
MIRROR = "mirror=s3://runs/mild"
IMAGES = "dataset.dir=/data/imagenet"
DIGITS = ("recipe=mild", "ssr=0.1", "hardware=cpu")
# What a shell, Kubernetes or Compose would change: it must arrive as it is.
ODD = """dataset.title="it's $HOME $(JOB_COMPLETION_INDEX) `id` ü #\""""
IMAGE = ("--image", "registry/resnet_exp:0.1.0")
KUBERNETES = ("1.33", "1.37")
SKYPILOT = "skypilot==0.14.1"
# A program that shows its words.
SHOW = "#!/bin/sh\nprintf '%s\\0' \"$@\" >>words\n"


def plan(run_cli: RunCli, *words: str) -> str:
    done = run_cli(*words, module=PLAN)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def tool(folder: Path, name: str, text: str = SHOW) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def shown(folder: Path, *command: str | Path, **environ: str) -> list[str]:
    """The words that the programs in ``bin`` were given."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path, **environ}, text=True)
    assert done.returncode == 0
    words = (folder / "words").read_text().split("\0")[:-1]
    (folder / "words").unlink()
    return words


def check_kubernetes(document: dict[str, Any]) -> None:
    for version in KUBERNETES:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_run_is_a_kubernetes_job(run_cli: RunCli, tmp_path: Path) -> None:
    said = plan(run_cli, *P4D, IMAGES, ODD, "--write", "k8s", "job.yaml", *IMAGE)
    assert "needs: a volume claim resnet-exp-data with what is in /data" in said
    assert said.splitlines()[-1] == "written; start it with: kubectl apply -f job.yaml"
    (job,) = documents(tmp_path / "job.yaml")
    check_kubernetes(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # Kubernetes makes one dollar of two before a parenthesis.
    words = [word.replace("$$(", "$(") for word in container["command"]]
    assert words == ["/usr/bin/tini", "-g", "--", "resnet_exp", *P4D, IMAGES, ODD, "runs_dir=/runs"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    places = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert places == {"/runs": "runs", "/cache": "runs", "/dev/shm": "shm", "/data": "data"}
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod["volumes"]


def test_a_sweep_is_an_indexed_job(run_cli: RunCli, tmp_path: Path) -> None:
    plan(run_cli, "-m", *DIGITS[::2], "ssr=0.1,0.2", ODD, "sweep=two", "--write", "k8s", "job.yaml", *IMAGE)
    scripts, job = documents(tmp_path / "job.yaml")
    for document in (scripts, job):
        check_kubernetes(document)
    assert (job["spec"]["completions"], job["spec"]["completionMode"]) == (2, "Indexed")
    tool(tmp_path, "resnet_exp")
    for index, ssr in enumerate(("ssr=0.1", "ssr=0.2")):
        words = shown(tmp_path, "sh", "-c", scripts["data"][str(index)])
        assert words == [*DIGITS[::2], ssr, ODD, "sweep=two", "runs_dir=/runs"]


def test_a_compose_file_runs_the_same_words_here(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    words = (*P4D, "dataset.dir=images", ODD, "runs_dir=my runs", "data.cache_dir=cache")
    said = plan(run_cli, *words, "--write", "compose", "compose.yaml")
    assert f"needs: mkdir -p '{tmp_path}/my runs' {tmp_path}/cache\n" in said
    (document,) = documents(tmp_path / "compose.yaml")
    jsonschema.validate(document, get_builtin_schema("vendor.compose-spec"))
    service = document["services"]["train"]
    given = [word.replace("$$", "$") for word in service["command"]]
    assert given == [*P4D, ODD, "runs_dir=/runs", f"dataset.dir={tmp_path}/images"]
    mounts = {mount["source"]: (mount["target"], mount["read_only"]) for mount in service["volumes"]}
    assert mounts == {
        f"{tmp_path}/my runs": ("/runs", False),
        f"{tmp_path}/cache": ("/cache/resnet_exp", False),
        f"{tmp_path}/images": (f"{tmp_path}/images", True),
    }
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["count"] == 8


def test_a_whole_sweep_is_one_service(run_cli: RunCli, tmp_path: Path) -> None:
    plan(run_cli, "-cn", "demo", "--write", "compose", "compose.yaml")
    (document,) = documents(tmp_path / "compose.yaml")
    jsonschema.validate(document, get_builtin_schema("vendor.compose-spec"))
    service = document["services"]["train"]
    assert service["command"] == ["-cn", "demo", "runs_dir=/runs"] and "deploy" not in service


def test_a_sky_task_has_the_cheapest_machine_of_a_budget(run_cli: RunCli, tmp_path: Path) -> None:
    words = (*P4D[:3], IMAGES, ODD)
    sky = ("--write", "sky", "task.yaml", "--bucket", "runs", "--data", "s3://images/imagenet", "--image", "me/image")
    said = plan(run_cli, *words, "budget=30min", *sky)
    assert "written; start it with: sky jobs launch task.yaml" in said
    (task,) = documents(tmp_path / "task.yaml")
    # Lambda's machine on demand is cheaper than a spot machine of AWS.
    assert task["resources"]["infra"] == "lambda" and "max_hourly_cost" not in task["resources"]
    plan(run_cli, *words, "budget=7.40usd", *sky)
    (task,) = documents(tmp_path / "task.yaml")
    # 27.8 minutes for $7.40.
    assert task["resources"]["max_hourly_cost"] == pytest.approx(7.4 / 27.8 * 60, rel=0.01)
    name, *run = shlex.split(task["run"].removeprefix("exec "))
    assert name == "resnet_exp" and run == [*words, "hardware=lambda_8xa100_40gb", "runs_dir=/runs"]
    done = run_cli(*words, "budget=5usd", *sky, module=PLAN)
    assert done.returncode == 2
    assert "budget=$5.00: no machine of a cloud keeps to it: the least is lambda_8xa100_40gb for $7.37" in done.stderr


def test_a_sky_task_with_a_mirror_needs_no_bucket(run_cli: RunCli, tmp_path: Path) -> None:
    words = (*P4D[:2], "hardware=p4d.24xlarge", MIRROR)
    plan(run_cli, *words, "--write", "sky", "task.yaml")
    (task,) = documents(tmp_path / "task.yaml")
    assert "file_mounts" not in task
    assert shlex.split(task["run"].removeprefix("exec ")) == [".venv/bin/resnet_exp", *words]


REFUSED = [
    ((*DIGITS, "--write", "nomad", "x"), "--write nomad is not known; use --write sky|k8s|slurm|compose FILE"),
    ((*DIGITS, "--write", "slurm"), "expected 2 arguments; it is --write sky|k8s|slurm|compose FILE"),
    ((*DIGITS, "--write", "slurm", "x", *IMAGE), "--image is not for --write slurm; leave it out"),
    ((*DIGITS, "--bucket", "runs"), "--bucket is for --write KIND FILE, which is not there"),
    ((*DIGITS, "--write", "compose", "none/x"), "--write compose none/x: none is not a folder"),
    ((*DIGITS, "--write", "compose", "."), "--write compose . is a folder; give a file"),
    ((*P4D, "hardware.nodes=2", "--write", "compose", "x"), "hardware.nodes=2 needs SLURM"),
    (("-m", *P4D, "hydra/launcher=slurm", "--write", "compose", "x"), "hydra/launcher=slurm needs SLURM"),
    (("-cd", ".", *DIGITS, "--write", "compose", "x"), "--config-dir . is not in the image"),
    ((*DIGITS, "--write", "k8s", "x"), "--write k8s needs --image NAME"),
    ((*P4D, "dataset.dir=images", "--write", "k8s", "x", *IMAGE), "dataset.dir=images depends on the current folder"),
    ((*P4D, "dataset.dir=/images", "--write", "k8s", "x", *IMAGE), "put it below one folder, such as /data"),
    ((*DIGITS[:2], "hardware=auto", "--write", "k8s", "x", *IMAGE), "hardware=auto is what this machine has"),
    (("-m", *DIGITS[:2], "hardware=cpu,a100x1", "--write", "k8s", "x", *IMAGE), "hardware=a100x1,cpu: one file"),
    (("-cn", "adaptive", "hardware=cpu", "dataset=digits", "--write", "k8s", "x", *IMAGE), "a search chooses its runs"),
    ((*P4D, "--write", "sky", "x"), "--write sky needs mirror=s3://BUCKET/runs, or --bucket NAME, for the runs"),
    ((*P4D, IMAGES, "--write", "sky", "x", "--bucket", "b"), "/data/imagenet: the machine is new"),
    ((*P4D, "--write", "sky", "x", "--bucket", "b", "--data", "s3://x"), "--data s3://x has no place"),
    ((*DIGITS, "--write", "sky", "x", "--bucket", "b"), "hardware=cpu is no machine of a cloud"),
    ((*P4D, "budget=9usd", "--write", "sky", "x", "--bucket", "b"), "budget= chooses the machine"),
    (("budget=9usd", "--write", "compose", "x"), "budget= looks at all runs, and --write is for one"),
    ((*P4D[:3], "hardware=auto", "--write", "slurm", "x"), "hardware=auto"),
    (("-m", *DIGITS, "hydra/launcher=basic", "--write", "slurm", "x"), "hydra/launcher=basic has no SLURM"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[line[:40] for _, line in REFUSED])
def test_what_is_refused(run_cli: RunCli, tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    done = run_cli(*words, module=PLAN)
    assert done.returncode == 2, done.stdout
    assert line in done.stderr and len(done.stderr.splitlines()) == 1
    assert f"`{done.stderr.strip()}`".replace("|", r"\|") in pages_of_errors()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["compose", "slurm"])
def test_a_file_of_ones_own_is_not_replaced(run_cli: RunCli, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {}\n")
    done = run_cli(*DIGITS, "--write", kind, path.name, module=PLAN)
    line = f"--write {kind} compose.yaml is there, and not from this command; give another file\n"
    assert (done.returncode, done.stderr, path.read_text()) == (2, line, "services: {}\n")
    assert f"`{line.strip()}`".replace(kind, "compose") in pages_of_errors()
    path.unlink()
    os.mkfifo(path)
    assert run_cli(*DIGITS, "--write", kind, path.name, module=PLAN).stderr == line
    path.unlink()
    for ssr in ("0.1", "0.2"):
        plan(run_cli, "recipe=mild", f"ssr={ssr}", "hardware=cpu", "--write", kind, path.name)
        assert f"ssr={ssr}" in path.read_text()


def test_a_script_for_sbatch_runs_each_run(run_cli: RunCli, tmp_path: Path) -> None:
    site = ("hydra.launcher.partition=gpu", "hydra.launcher.setup=[module load cuda]", "hydra.launcher.comment=a b")
    inside = ("hydra.launcher.container=[apptainer,exec,image.sif]", "hydra.launcher.python=/opt/bin/python")
    plan(run_cli, "-m", *DIGITS[::2], "ssr=0.1,0.2", ODD, "sweep=two", *site, *inside, "--write", "slurm", "job.sh")
    script = (tmp_path / "job.sh").read_text()
    for line in ("--partition=gpu", '--comment="a b"', "--array=0-1%256", "--signal=B:USR2@120", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    tool(tmp_path, "srun")
    tool(tmp_path, "module", "#!/bin/sh\n")
    for index, ssr in enumerate(("ssr=0.1", "ssr=0.2")):
        job = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_JOB_ID": str(7 + index), "SLURM_ARRAY_TASK_ID": str(index)}
        words = shown(tmp_path, "bash", "job.sh", **job)
        started = ["apptainer", "exec", "image.sif", "/opt/bin/python", "-m", "resnet_exp"]
        assert words[1:] == [*started, *DIGITS[::2], ssr, ODD, "sweep=two"]
    assert os.listdir(tmp_path / "runs" / ".sweeps") == ["two.json"]
    manifest = sweep_manifest.read_manifest(tmp_path / "runs", "two")
    assert manifest is not None and manifest.launcher == "slurm"
    assert [(run.job, ODD in run.overrides) for run in manifest.runs] == [("7_0", True), ("7_1", True)]


def test_a_script_for_pyxis_replaces_the_container_of_a_lost_start(run_cli: RunCli, tmp_path: Path) -> None:
    plan(run_cli, *DIGITS, 'hydra.launcher.srun_args=["--container-image=x.sqsh"]', "--write", "slurm", "job.sh")
    assert "export ENROOT_FORCE_OVERRIDE=yes\n" in (tmp_path / "job.sh").read_text()


@pytest.mark.parametrize(("restarts", "slow"), [(0, False), (50, False), (0, True)])
def test_a_script_requeues_itself_before_its_time_limit(
    run_cli: RunCli, tmp_path: Path, restarts: int, slow: bool
) -> None:
    """Also if it is told so before its shell has read the line after srun."""
    plan(run_cli, *DIGITS, "--write", "slurm", "job.sh")
    if slow:
        text = (tmp_path / "job.sh").read_text()
        assert text.count(" &\n") == 1
        (tmp_path / "job.sh").write_text(text.replace(" &\n", " &\nsleep 0.5\n"))
    # It does not outlive the script, whatever becomes of that.
    waits = "while kill -0 $PPID; do sleep 0.05; done"
    tool(tmp_path, "srun", f"#!/bin/bash\ntrap 'sleep 0.3; exit 130' USR2\ntouch ready\n{waits}\n")
    tool(tmp_path, "scontrol")
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environ |= {"SLURM_RESTART_COUNT": str(restarts)}
    script = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env={**os.environ, **environ})
    end = time.monotonic() + 120
    while not (tmp_path / "ready").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(script.pid, 12)
    assert script.wait(120) == 130
    asked = tmp_path / "words"
    assert (asked.read_text() if asked.exists() else "") == ("" if restarts else "requeue\x007\x00")


@pytest.mark.soak
def test_a_script_runs_on_a_cluster(
    run_cli: RunCli, slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of an array, one of which is told to stop and goes on after a requeue."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    more = (
        "recipe=mild",
        "+callbacks.misbehave._target_=support.misbehave.Misbehave",
        "trace=true",
        "data=imagefolder",
        *TINY,
    )
    small = ("hydra.launcher.cpus_per_task=2", "hydra.launcher.mem_gb=6")
    gate = "+callbacks.misbehave.gate=gate"
    plan(run_cli, "-m", *more, "seed=1,2", gate, *small, "sweep=two", "--write", "slurm", "job.sh")
    script = (tmp_path / "job.sh").read_text()
    slurm.run("sbatch", "--test-only", str(tmp_path / "job.sh"))
    environ = {**slurm.env, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["sbatch", "--parsable", "job.sh"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    job = done.stdout.strip()
    wait_for_batches(tmp_path)
    listed = run_cli("runs", "--sweep", "two", "--json", module="resnet_exp.status")
    assert [json.loads(line)["job"] for line in listed.stdout.splitlines()] == [f"{job}_0", f"{job}_1"]
    slurm.run("scancel", "--signal=USR2", "--batch", f"{job}_0")
    end = time.monotonic() + 300
    while "REQUEUED" not in slurm.run("sacct", "-D", "-X", "-n", "-P", "-o", "State", "-j", f"{job}_0"):
        assert time.monotonic() < end, log_of(tmp_path, job, 0)
        time.sleep(0.5)
    (tmp_path / "gate").touch()
    for index in (0, 1):
        state = slurm.wait_state(f"{job}_{index}", "COMPLETED", "FAILED", timeout=300)
        assert state == "COMPLETED", log_of(tmp_path, job, index) + script
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json")]
    assert sorted((result["seed"], result["resumed"]) for result in results) == [(1, 1), (2, 0)]


def wait_for_batches(folder: Path) -> None:
    end = time.monotonic() + 240
    while len(list((folder / "runs").glob("*/trace.jsonl"))) < 2:
        assert time.monotonic() < end, [path.read_text()[-2000:] for path in folder.glob("*.log")]
        time.sleep(0.5)


def log_of(folder: Path, job: str, index: int) -> str:
    (path,) = folder.glob(f"*-{job}_{index}.log")
    return path.read_text()


# Of SkyPilot's own lists, which it would download: a machine that has the GPUs, at two prices.
COLUMNS = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch"
)
MACHINES = (
    "p3.16xlarge,V100,8.0,64.0,488.0,,24.48,,us-east-1,us-east-1a,x86_64",
    "p4d.24xlarge,A100,8.0,96.0,1152.0,,21.957642,16.298,us-east-1,us-east-1a,x86_64",
)
READ_TASKS = """
import json, sys, sky
for path in sys.argv[1:]:
    task = sky.Task.from_yaml(path)
    (resources,) = task.resources
    offered = resources.cloud.get_feasible_launchable_resources(resources).resources_list
    print(json.dumps({
        "name": task.name, "run": task.run, "spot": resources.use_spot, "recovery": resources.job_recovery,
        "machines": [each.instance_type for each in offered],
        "mounts": {place: [each.name or each.source, each.mode.value] for place, each in task.storage_mounts.items()},
    }))
"""


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("git") is None, reason="SkyPilot asks git of the folder that it sends")
def test_skypilot_reads_a_task(run_cli: RunCli, tmp_path: Path) -> None:
    """And finds the machine that the preset names; with a mirror in place of a bucket, too."""
    words, data = (*P4D, IMAGES, ODD), ("--data", "s3://images/imagenet")
    plan(run_cli, *words, "--write", "sky", "task.yaml", "--bucket", "runs", *data)
    plan(run_cli, *words, MIRROR, "--write", "sky", "mirrored.yaml", *data)
    tools = tool_environment(tmp_path, SKYPILOT)
    catalog = tmp_path / "home" / ".sky" / "catalogs" / "v8" / "aws" / "vms.csv"
    catalog.parent.mkdir(parents=True)
    catalog.write_text("\n".join([COLUMNS, *MACHINES, ""]))
    done = subprocess.run(
        [tools / "python", "-c", READ_TASKS, "task.yaml", "mirrored.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    task, mirrored = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    for each in (task, mirrored):
        assert each["machines"] == ["p4d.24xlarge"]
        assert each["spot"] and each["recovery"]["max_restarts_on_errors"] == 3
    images = {"/data/imagenet": ["s3://images/imagenet", "MOUNT"]}
    assert task["mounts"] == {"/runs": ["runs", "MOUNT_CACHED"], **images}
    assert shlex.split(task["run"].removeprefix("exec "))[1:] == [*words, "runs_dir=/runs"]
    assert mirrored["mounts"] == images
    assert shlex.split(mirrored["run"].removeprefix("exec "))[1:] == [*words, MIRROR]
