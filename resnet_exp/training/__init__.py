"""One rank of a run; the only package that imports torch and Composer, apart from loggers and data."""
