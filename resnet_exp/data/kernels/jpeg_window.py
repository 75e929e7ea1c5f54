"""The part of a JPEG around a crop, as a JPEG of its own: what is outside is neither read as Huffman codes nor decoded.

A JPEG can be cut at its restart markers (ITU-T T.81, annexes B.2 and E.1.4): what is between two of them depends on
nothing before. Those that this project writes have some in every row of blocks (`resnet_exp.data.conversion.encode`).
"""

from __future__ import annotations
