"""How images are converted, whatever the format."""
