"""mosaicml-streaming without what it imports and does not need for shards: transformers, and clients of clouds.

Installed, transformers would be imported by Composer too, and every run would start seconds later.
"""

from __future__ import annotations

import sys
from types import ModuleType


def without_transformers() -> None:
    """Let ``import streaming`` work where transformers is not installed."""
    for name in ("streaming.text", "streaming.multimodal", "transformers"):
        sys.modules[name] = ModuleType(name)
    features = ModuleType("transformers.feature_extraction_utils")
    tokens = ModuleType("transformers.tokenization_utils_base")
    features.BatchFeature = tokens.BatchEncoding = dict  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules[features.__name__], sys.modules[tokens.__name__] = features, tokens
