"""torch's operations on lists of tensors: a few kernels for all of a model's weights, with the bits of one for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import (
    Tensor,
    _foreach_add_,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_copy_,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_mul,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_mul_,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_norm,  # pyright: ignore[reportPrivateImportUsage]
)

add_, copy_, multiply, multiply_, norms = _foreach_add_, _foreach_copy_, _foreach_mul, _foreach_mul_, _foreach_norm


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies of `tensors`, made together."""
    made = [torch.empty_like(tensor) for tensor in tensors]
    if made:
        copy_(made, list(tensors))
    return made
