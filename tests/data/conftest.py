"""Commands of these tests answer and end: they are forked from a warm interpreter."""

from support.warm import warm_cli as run_cli  # noqa: F401
