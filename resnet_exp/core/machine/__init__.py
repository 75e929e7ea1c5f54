"""The machine: devices, processes, the queue of SLURM, the torch that is installed."""
