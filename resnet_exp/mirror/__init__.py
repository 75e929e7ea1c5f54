"""Runs in an object store: what another machine needs to go on with them. No torch, no Hydra."""
