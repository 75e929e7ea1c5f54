"""Launchers of sweeps: one file for each ``hydra/launcher=NAME``."""
