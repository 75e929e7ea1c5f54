"""One run: lock its folder, prepare its data, start its ranks, wait for them."""
