"""How a sweep is carried out: one file for each ``hydra/launcher=NAME``."""
