"""Use what was trained: evaluate it, classify images with it, give it to other programs."""
