"""Code that numba compiles: decoding, cropping, resizing, RandAugment, random numbers."""
