"""Whether a machine is ready for a run, and what to do if it is not: one file for each kind of finding."""
