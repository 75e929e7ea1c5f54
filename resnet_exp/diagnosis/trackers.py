"""Whether W&B takes the runs, where a run logs to it."""

from __future__ import annotations

import os

from resnet_exp.config.checks.values import WANDB
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.diagnosis.subject import Subject, ask_child
from resnet_exp.launch.preflight import Findings

LOGIN = "resnet_exp.tracking.login"
PATIENCE_SECONDS = 30
# Modes of W&B's client without a network.
OFFLINE = ("offline", "disabled", "dryrun")


def check_trackers(subject: Subject) -> Findings:
    """Log in to W&B, in a process that is killed if there is no answer."""
    if all(entry["_target_"] != WANDB for entry in subject.config.loggers.values()):
        return
    if (mode := os.environ.get("WANDB_MODE")) in OFFLINE:
        yield Finding("W&B", "ok", f"WANDB_MODE={mode}: nothing is sent; wandb sync uploads it later")
        return
    try:
        (answer,) = ask_child(LOGIN, seconds=PATIENCE_SECONDS)
    except RequestError as error:
        answer = {"error": str(error)}
    if "error" in answer:
        fix = "run wandb login, or see WANDB_BASE_URL and the network; until then runs are recorded offline"
        yield Finding("W&B", "note", f"no login: {answer['error']}", fix)
    else:
        yield Finding("W&B", "ok", f"logged in as {answer['user']} at {answer['address']}")
