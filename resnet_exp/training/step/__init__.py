"""One training step: what Composer's step computes, without what its arithmetic does not need (docs/performance.md)."""
