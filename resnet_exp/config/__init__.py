"""From the command line to one resolved, valid configuration."""
