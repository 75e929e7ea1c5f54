"""The original system: records of its runs, and what its formulas give at any length."""

from __future__ import annotations

import json
import math
from typing import Any

from support.paths import TESTS

TRACES = TESTS / "training" / "traces"
RECIPES = ("mild", "medium", "hot")
# Of the originals, read off its recipe files: peak lr, warm-up epochs, full schedule.
PEAK_LR, WARMUP_EPOCHS, EPOCHS = 2.048, 8, 90
PROGRESSIVE = {"mild": (0.5, 0.4, 0.2), "medium": (0.5, 0.4, 0.2), "hot": (0.6, 0.2, 0.2)}


def original(recipe: str) -> dict[str, Any]:
    return json.loads((TRACES / f"r50_{recipe}_0.1.json").read_text())


def original_lr(batch: int, epochs: int, batches_an_epoch: int) -> float:
    """Composer 0.7.1: linear warm-up over 8 epochs whatever the ssr, then a cosine to the end of the scaled run."""
    warmup, end = WARMUP_EPOCHS * batches_an_epoch, epochs * batches_an_epoch
    if batch < warmup:
        return PEAK_LR * batch / warmup
    return PEAK_LR * 0.5 * (1 + math.cos(math.pi * (batch - warmup) / (end - warmup)))


def original_size(recipe: str, epoch: int, epochs: int) -> int:
    """Composer 0.7.1: side of the images after ColOut and progressive resizing of 176 px."""
    side = int((1 - 0.05) * 176) if recipe == "hot" else 176
    if recipe == "baseline":
        return 224
    initial, delay, finetune = PROGRESSIVE[recipe]
    progress = min(1.0, max(0.0, (epoch / epochs - delay) / (1 - delay - finetune)))
    scale = initial + (1 - initial) * progress
    pinned = round(side * scale / 4) * 4
    # 167 px rounds up to 168, and nothing is ever enlarged.
    return min(side, math.floor(side * (pinned / side)))
