"""Commands of these tests answer and end: they are forked from a warm interpreter."""

from support.conversions import leaves_nothing as leaves_nothing
from support.conversions import run_convert as run_convert
from support.warm import warm_cli as run_cli  # noqa: F401
