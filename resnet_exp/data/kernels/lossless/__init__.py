"""JPEGs changed without loss: the coefficients stay, and so do the pixels."""
