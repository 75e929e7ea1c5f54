"""What can be removed from disks: checkpoints, superseded conversions, partial files, old caches."""
