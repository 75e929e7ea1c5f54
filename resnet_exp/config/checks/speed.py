"""What ``speed`` allows beside the other settings."""

from __future__ import annotations

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError

# As Composer's class has it, for an entry of the user's own with ``_target_`` alone.
STOCHASTIC_METHOD = "block"


def check_speed(config: RunConfig) -> None:
    """Check the keys of ``speed``; raises `RequestError` on the first one that does not fit the run."""
    if config.speed.compile:
        _check_compile(config)
    _check_cuda_graphs(config)


def _check_compile(config: RunConfig) -> None:
    if config.hardware.microbatch == "auto":
        raise RequestError(
            "hardware.device_train_microbatch_size=auto changes the shapes that speed.compile=true compiles for; use a "
            "number of images, or speed=faithful"
        )
    depth = config.algorithms.get("stochastic_depth")
    if depth is not None and depth.get("stochastic_method", STOCHASTIC_METHOD) == "block":
        raise RequestError(
            "algorithms.stochastic_depth.stochastic_method=block chooses blocks while it computes, which "
            "speed.compile=true cannot compile; use sample, or speed=faithful"
        )


def _check_cuda_graphs(config: RunConfig) -> None:
    side, hardware = config.speed.cuda_graphs_up_to, config.hardware
    key = f"speed.cuda_graphs_up_to={side}"
    if side < 0:
        raise RequestError(f"{key} must be 0 or more; use 0 for no CUDA graphs")
    if side == 0:
        return
    if not config.speed.compile:
        raise RequestError(f"{key} has no effect with speed.compile=false; use speed=fast")
    if hardware.device == "cpu":
        raise RequestError(f"{key} needs a GPU, hardware={hardware.name} has none; use 0")
    microbatch = hardware.microbatch
    if isinstance(microbatch, int) and microbatch < config.rank_batch:
        raise RequestError(
            f"{key} cannot add up the gradients of microbatches (hardware.device_train_microbatch_size={microbatch}); "
            "use 0, or more devices"
        )
