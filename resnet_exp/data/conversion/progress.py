"""How far a conversion is: a line that moves on a terminal, one now and then elsewhere."""

from __future__ import annotations

import time

from resnet_exp.core import console

TERMINAL_SECONDS, PLAIN_SECONDS = 0.2, 30.0


class Progress:
    """Images done, images/s of this try, and the time that is left at that pace."""

    def __init__(self, name: str, images: int, before: int) -> None:
        """`before` of `images` were converted by an earlier try."""
        self._name, self._images, self._done, self._before = name, images, before, before
        self._began = self._shown = time.monotonic()
        self._every = PLAIN_SECONDS if console.width() is None else TERMINAL_SECONDS
        if before:
            console.say(f"{name}: {before:,} of {images:,} images are there from an earlier try")

    def add(self, images: int) -> None:
        """Count images, and say so when it is time."""
        self._done += images
        now = time.monotonic()
        if now - self._shown < self._every:
            return
        self._shown = now
        line = (
            f"{self._name}: {self._done:,} of {self._images:,} images  {self._rate():,.0f} images/s  ETA {self._eta()}"
        )
        (console.say if console.width() is None else console.status)(line)

    def end(self) -> None:
        """Say how it went."""
        took = console.span(time.monotonic() - self._began)
        console.say(f"{self._name}: {self._done - self._before:,} images in {took}, {self._rate():,.0f} images/s")

    def _rate(self) -> float:
        return (self._done - self._before) / max(1e-3, time.monotonic() - self._began)

    def _eta(self) -> str:
        return console.span((self._images - self._done) / max(1e-3, self._rate()))
