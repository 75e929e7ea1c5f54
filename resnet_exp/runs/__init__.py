"""Run folders on disk, through which front, ranks and report communicate."""
