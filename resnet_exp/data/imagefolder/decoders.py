"""What decodes image files: ``data.loader.decoder``."""

from __future__ import annotations

PILLOW = "pillow"  # in worker processes, with torchvision's transforms, as the original
COMPILED = "compiled"  # our own code, in threads
DECODERS = (PILLOW, COMPILED)
