"""What happens in the afternoon that tests/sweep/test_slurm.py looks at: submit, disturb, wait."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.slurm_scenario import Scenario, interrupt, read, rest

SIX = ("+callbacks.misbehave.how=fine,again,raise,kill,memory,more", "sweep=six")
# SLURM looks every 30 s: a signal 60 s before the end of two minutes comes after 30 to 60 s.
SHORT = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60")
STOPPED = "stopped; rerun the same command"
# As a container that has none of SLURM's programs.
CONTAINER = """#!/bin/sh
for name in scontrol squeue sinfo; do mount --bind /dev/null "$(command -v $name)"; done
exec "$@"
"""
HOLD = "+hydra.launcher.additional_parameters.hold=true"
# For runs that mostly wait: beside those that do not.
SMALL = "hydra.launcher.cpus_per_task=2"
SEARCH = ("-cn", "adaptive", "ssr=tag(log,interval(0.0223,0.0332))", "hydra.sweeper.n_trials=2", SMALL)


def play(s: Scenario) -> None:
    """All of it; `Scenario.seen` has what the tests need."""
    contained = contain(s)
    for seed, most in (("21", "0"), ("22", "9")):
        accept_gated(s, f"limit{most}", seed, *SHORT, f"hydra.launcher.max_requeues={most}", contained)
    six = submit_six(s)
    with ThreadPoolExecutor(1) as aside:
        search = aside.submit(leave_search, s)
        s.wait("a run of six to be done", lambda: any(x["kind"] == "done" for x in s.states("six").values()))
        s.slurm.restart_controller()
        disturb(s)
        accept_gated(s, "lost", "41", "hydra.launcher.nodelist=n2", contained)
        accept_gated(s, "dual", "41", "hardware.nodes=2", contained)
        submit_pair(s)
        s.seen["six"] = rest(six)
        s.seen["six code"] = six.returncode
        s.seen["search"] = search.result(timeout=300)
    s.wait_said(s.log("limit9", "22"), "requeued")
    s.gate("limit9").touch()
    for sweep in ("limit0", "limit9", "preempted", "requeued", "pair", "canceled"):
        s.seen[sweep] = s.wait_over(sweep, 400)
    lose_node(s)
    s.wait("the end of all processes", lambda: not s.slurm.processes(), 60)


def contain(s: Scenario) -> str:
    """The words for a container that has none of SLURM's programs."""
    script = s.folder / "container.sh"
    script.write_text(CONTAINER)
    script.chmod(0o755)
    return f"hydra.launcher.container=[unshare,--mount,{script}]"


def accept_gated(s: Scenario, sweep: str, seed: str, *more: str, **environ: str) -> None:
    """Submit a run that waits at its gate."""
    gate = f"+callbacks.misbehave.gate={s.gate(sweep)}"
    s.accept(f"seed={seed}", gate, "trace=true", f"sweep={sweep}", SMALL, *more, **environ)


def disturb(s: Scenario) -> None:
    """Preempt, requeue and cancel runs that wait for it."""
    own = ("loggers=[progress,wandb]", 'hydra.launcher.container=[env,"CONTAINED=yes"]')
    accept_gated(s, "preempted", "31", "hydra.launcher.gpus_per_node=8", contain(s))
    accept_gated(s, "requeued", "32", *own, WANDB_MODE="offline")
    accept_gated(s, "canceled", "51")
    preempt(s)
    requeue(s)
    cancel(s)
    requeue_without_controller(s)


def submit_six(s: Scenario) -> subprocess.Popen[str]:
    """Submit six jobs and be killed at once, leave with Ctrl-C, be killed while watching, and watch to the end.

    They are held until then, so that none is done before its submission is repeated.
    """
    own = s.folder / "own" / "recipe" / "mine.yaml"
    own.parent.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [mild]\nalgorithms: {label_smoothing: {smoothing: 0.05}}\n"
    own.write_text(text)
    site = own.parents[1] / "local" / "slurm.yaml"
    site.parent.mkdir()
    site.write_text("comment: from the site\n")
    line = ("recipe=mine", "--config-dir", str(own.parents[1]), *SIX, "hydra.launcher.array_parallelism=2", HOLD)
    s.seen["cut off"] = s.execute(s.line(*line), 200, PATH=f"{_deadly_sbatch(s.folder / 'bin')}:{os.environ['PATH']}")
    s.seen["after the cut"] = [state for state in s.status() if "_" in (state["job"] or "")]
    s.seen["interrupted"] = interrupt(s.start(*line), until="shows it at any time")
    own.write_text(text.replace("0.05", "0.5"))
    s.seen["after ctrl-c"] = s.slurm.run("squeue", "-h", "-r", "-n", "six", "-o", "%k").splitlines()
    own.write_text(text)
    killed = s.start(*line)
    assert killed.stdout is not None
    s.seen["second"] = [killed.stdout.readline() for _ in range(3)]
    killed.kill()
    rest(killed)
    watching = s.start(*line)
    assert watching.stdout is not None
    s.seen["third"] = [watching.stdout.readline() for _ in range(3)]
    s.slurm.run("scontrol", "release", s.slurm.run("squeue", "-h", "-n", "six", "-o", "%F"))
    own.write_text(text.replace("0.05", "0.5"))
    return watching


def preempt(s: Scenario) -> None:
    s.wait_batches("preempted", "31", 1)
    all_gpus = ("-p", "urgent", "--nodes=2", "--gpus-per-node=8", "--mem=100")
    urgent = s.slurm.submit("sleep 1", *all_gpus)
    s.slurm.wait_state(urgent, "COMPLETED", timeout=300)
    s.gate("preempted").touch()


def requeue(s: Scenario) -> None:
    s.wait_batches("requeued", "32", 1)
    log = s.log("requeued", "32")
    s.slurm.run("scontrol", "requeue", s.states("requeued")["32"]["job"])
    s.wait_said(log, STOPPED)


def cancel(s: Scenario) -> None:
    s.wait_batches("canceled", "51", 2)
    s.slurm.run("scancel", "--name=canceled")


def requeue_without_controller(s: Scenario) -> None:
    """The signal of a time limit, at a moment when nobody can take the run's requeue."""
    trace = s.folder_of("requeued", "32") / "trace.jsonl"
    s.wait_batches("requeued", "32", trace.read_text().count("\n") + 1)
    job, log = s.states("requeued")["32"]["job"], s.log("requeued", "32")
    s.slurm.stop_controller()
    os.kill(s.slurm.task(job), signal.SIGUSR2)
    s.wait_said(log, STOPPED, times=2)
    s.gate("requeued").touch()
    s.seen["without controller"] = s.slurm.processes(job)
    s.slurm.start_controller()


def submit_pair(s: Scenario) -> None:
    """Runs over both nodes, for a user without a writable home; in two the second node's rank fails."""
    home = s.folder / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", home], check=True)
    try:
        digits = ("dataset=digits", "data=ffcv", "train_batch_size=64", "eval_batch_size=64", "ssr=0.0112")
        pair = (
            "hardware.nodes=2",
            "+callbacks.misbehave.how=fine,raise,kill",
            "+callbacks.misbehave.rank=1",
            "sweep=pair",
        )
        line = [word for word in s.line(*digits, *pair, "hydra.launcher.wait=false") if "cache_dir" not in word]
        line = [word for word in line if not word.startswith("dataset.dir=")]
        environ = {"HOME": str(home), "XDG_CACHE_HOME": ""}
        done = s.execute(line, 200, **environ)
        assert done.returncode == 0, done.stderr
        s.wait_over("pair")
    finally:
        subprocess.run(["umount", home], check=True)


def lose_node(s: Scenario) -> None:
    """A node loses power and is back before SLURM has missed it: with a run of its own, and with half a run."""
    for sweep in ("lost", "dual"):
        s.wait_checkpoint(sweep, "41", 4)
    s.slurm.reboot_node("n2")
    for sweep in ("lost", "dual"):
        s.gate(sweep).touch()
    for sweep in ("lost", "dual"):
        s.seen[sweep] = s.wait_over(sweep)


def leave_search(s: Scenario) -> tuple[str, str]:
    """Press Ctrl-C once the second batch of trials is submitted, and let the same command go on: what both print.

    The second run waits at a gate until the command has looked at it.
    """
    gate = s.gate("adaptive")
    gate.touch()
    words = (*SEARCH, f"+callbacks.misbehave.gate={gate}")
    search = s.start(*words)
    first = read(search, until="trial 2 of 2")
    gate.unlink()
    first += interrupt(search, until="shows it at any time")
    search = s.start(*words)
    second = read(search, until="left alone")
    gate.touch()
    return first, second + rest(search)


def _deadly_sbatch(folder: Path) -> Path:
    """A folder with an sbatch that kills whoever has called it, once SLURM has the jobs."""
    folder.mkdir()
    script = folder / "sbatch"
    script.write_text(f'#!/bin/bash\n{shutil.which("sbatch")} "$@"\nkill -KILL $PPID\n')
    script.chmod(0o755)
    return folder
