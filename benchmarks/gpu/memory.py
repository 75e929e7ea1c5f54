"""Part 8: what fits into cards with less memory."""

from __future__ import annotations

from collections.abc import Callable

import step_contenders
import torch

from .context import Context

SMALL_CARD_GIB = 24
WHOLE_EVALUATION, CAPPED = 2048, 256


def memory(context: Context) -> None:
    """Peaks of an evaluation, and whether it fits a small card with and without a cap of its batch."""
    scale, device = context.scale, context.device
    network = step_contenders.make_network(scale.model).to(device.torch).eval()
    share = 1 if device.kind == "cuda" else WHOLE_EVALUATION // (2 * scale.batch)
    for batch in (CAPPED // share or 1, WHOLE_EVALUATION // share):
        work = _evaluation(context, network, batch)
        device.reset_peak()
        work()
        device.synchronize()
        context.write(what="evaluation", batch=batch, gib=device.peak_bytes() / 2**30)
        fits = _fits(context, work)
        # The whole is shown, and may fit: a run never evaluates more than the cap at a time.
        capped = {"ok": fits} if batch <= CAPPED else {}
        context.write(what=f"evaluation on {SMALL_CARD_GIB} GiB", batch=batch, fits=fits, **capped)


def _evaluation(context: Context, network: torch.nn.Module, batch: int) -> Callable[[], None]:
    px, kind = max(context.scale.sides), context.device.kind

    def evaluate() -> None:
        images = torch.zeros(batch, 3, px, px, device=context.device.torch).to(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
            network(images)

    return evaluate


def _fits(context: Context, work: Callable[[], None]) -> bool:
    device = context.device
    device.reset_peak()
    device.limit_memory(SMALL_CARD_GIB)
    try:
        work()
        device.synchronize()
    except device.out_of_memory():
        return False
    finally:
        device.limit_memory(None)
    return True
