"""What surrounds training in the process of a rank: its start, its waits, its imports."""
