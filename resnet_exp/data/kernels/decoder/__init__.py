"""Baseline JPEGs decoded where a crop needs them, with the pixels of libjpeg-turbo."""
