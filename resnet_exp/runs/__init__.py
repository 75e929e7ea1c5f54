"""One folder of runs on disk, where front, ranks and report meet."""
