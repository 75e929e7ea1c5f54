"""The parts of ``gpu.sh``."""
