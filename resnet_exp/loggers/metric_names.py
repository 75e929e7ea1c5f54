"""Names of the logged metrics, in the order of their charts. Dashboards use them too."""

from __future__ import annotations

# Horizontal axes: batches and epochs since the start of training.
BATCH, EPOCH = "batch", "epoch"

# One value per batch.
LOSS = "train/loss"
LEARNING_RATE = "train/lr"
IMAGE_SIZE = "train/image_size"
IMAGES_PER_SECOND = "train/images_per_second"
DATA_WAIT_SHARE = "train/data_wait_share"
GPU_MEMORY = "train/gpu_memory_gib"
BATCH_METRICS = (LOSS, LEARNING_RATE, IMAGE_SIZE, IMAGES_PER_SECOND, DATA_WAIT_SHARE, GPU_MEMORY)

# One value per evaluation: accuracies as fractions, seconds of training so far, their cost.
TOP1, TOP5, EVAL_LOSS = "eval/top1", "eval/top5", "eval/loss"
BEST_TOP1 = "eval/best_top1"
TRAIN_SECONDS = "eval/train_seconds"
COST = "eval/cost_usd"
EVAL_METRICS = (TOP1, TOP5, EVAL_LOSS, BEST_TOP1, TRAIN_SECONDS, COST)

# What the parent of a sweep logs to its own W&B run, which has this job type; other runs have their recipe.
SWEEP_JOB = "sweep"
FRONTIER_TABLE, FRONTIER_PICTURE, FRONTIER_RUNS = "frontier/table", "frontier/picture", "frontier/runs"

# Target top-1 whose time is logged when first reached: MLPerf's target for ResNet-50, and the recipes'.
TARGETS = (0.759, 0.766)


def seconds_to(target: float) -> str:
    """Name of the training time in seconds after which a top-1 was reached: ``eval/train_seconds_to_0.759``."""
    return f"{TRAIN_SECONDS}_to_{target:g}"
