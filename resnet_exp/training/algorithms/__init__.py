"""Composer algorithms with the original system's behavior where today's Composer differs (docs/fidelity.md).

Configurations name the classes as members of this package.
"""

from resnet_exp.training.algorithms.ema import EMA
from resnet_exp.training.algorithms.randaugment import RandAugment
from resnet_exp.training.algorithms.sam import SAM
from resnet_exp.training.algorithms.stochastic_depth import StochasticDepth

__all__ = ["EMA", "SAM", "RandAugment", "StochasticDepth"]
