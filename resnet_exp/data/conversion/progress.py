"""How far a conversion is: a line that moves on a terminal, one now and then elsewhere."""

from __future__ import annotations
