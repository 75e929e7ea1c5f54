"""Sweeps on a cluster of which this machine is no part: over the user's own ssh and rsync."""
