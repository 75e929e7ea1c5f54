"""Ask SLURM whether it would take a sweep, without submitting anything."""

from __future__ import annotations

import subprocess

from resnet_exp.config.schema import SlurmLauncherConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal.text import one_line
from resnet_exp.sweep.launchers.slurm import check_settings, make_executor, one_hardware
from resnet_exp.sweep.planned import Sweep

ANSWER = "sbatch: "


def ask_sbatch(planned: Sweep, settings: SlurmLauncherConfig) -> str:
    """What ``sbatch --test-only`` says of a job of this sweep: when and where it could start.

    Raises:
        RequestError: SLURM is missing, does not answer, or would refuse the job.
    """
    check_settings(settings)
    executor = make_executor(planned, one_hardware(planned.runs), settings, "trial")
    # As `submitit.slurm.SlurmExecutor` writes it when it submits.
    script = executor._make_submission_file_text("true", "trial")
    try:
        done = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=slurm.TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise RequestError(
            f"sbatch does not answer within {slurm.TIMEOUT_SECONDS} s; see scontrol ping, and try later"
        ) from None
    said = [line.removeprefix(ANSWER) for line in done.stderr.splitlines() if line.startswith(ANSWER)]
    answer = one_line(said[-1] if said else done.stderr or done.stdout)
    if done.returncode:
        reason = next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), answer)
        raise RequestError(f"sbatch would refuse the sweep ({reason}); change hydra.launcher or hardware=")
    return answer
