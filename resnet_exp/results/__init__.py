"""Read and compare finished runs: pure functions, no plotting."""
