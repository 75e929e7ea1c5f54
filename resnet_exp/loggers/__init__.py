"""Loggers and trackers of a run."""
