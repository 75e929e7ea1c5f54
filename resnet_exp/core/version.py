"""The version of this package, for everything that names it; ``pyproject.toml`` reads it here too."""

__version__ = "0.1.0"
