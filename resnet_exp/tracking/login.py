"""Who W&B says we are: ``python -m resnet_exp.tracking.login`` prints one JSON object. It may hang."""

from __future__ import annotations

import json
import sys

from resnet_exp.core.terminal.text import one_line
from resnet_exp.tracking.wandb_runs import TIMEOUT_SECONDS, end_client


def main() -> int:
    """Print the user, or the error; returns the exit code."""
    # Imported late: it takes a second, and is rarely needed.
    import wandb
    import wandb.errors

    try:
        api = wandb.Api(timeout=TIMEOUT_SECONDS)
        answer = {"user": str(api.viewer.username), "address": str(api.settings["base_url"])}
    except (wandb.errors.Error, ValueError, OSError) as error:
        end_client()
        answer = {"error": f"{one_line(error):.200}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return int("error" in answer)


if __name__ == "__main__":
    sys.exit(main())
