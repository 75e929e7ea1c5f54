"""Train image classifiers efficiently: Composer recipes, FFCV data, Hydra configuration."""

__version__ = "0.1.0"
