"""Data formats. `contract` says what a loader must do; only modules that need torch import it."""
