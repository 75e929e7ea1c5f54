"""Whether a machine is ready for a run, and what to do: a file a kind of finding."""
