"""Which runs a sweep asks for."""
