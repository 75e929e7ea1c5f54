"""Random numbers that depend only on (seed, epoch, sample, purpose) and a count.

SplitMix64 (Steele, Lea and Flood, 2014) hashes a counter: any thread, in any order, draws the same numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.jit import inner

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Purposes: how many numbers one of them draws does not change the others.
CROP, FLIP, AUGMENT = np.uint64(1), np.uint64(2), np.uint64(3)

Stream = npt.NDArray[np.uint64]


@inner
def mixed(value: np.uint64) -> np.uint64:
    """SplitMix64's hash of 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * FIRST
    value = (value ^ (value >> np.uint64(27))) * SECOND
    return value ^ (value >> np.uint64(31))


@inner
def seed_stream(stream: Stream, key: np.uint64, sample: np.uint64, purpose: np.uint64) -> None:
    """Set a stream, one uint64, to the first number for a sample and a purpose under an epoch's `key`."""
    stream[0] = mixed(mixed(key + sample * STEP) + purpose * STEP)


@inner
def uniform(stream: Stream, low: float, high: float) -> float:
    """Draw a number in [low, high) with 53 random bits."""
    stream[0] += STEP
    return low + (high - low) * (float(mixed(stream[0]) >> np.uint64(11)) * 2.0**-53)


def epoch_key(seed: int, epoch: int) -> np.uint64:
    """Key of an epoch's streams."""
    return np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
