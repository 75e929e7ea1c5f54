"""Fixtures of the tests in the image."""

from support.container import engine as engine
