"""One run: own its folder, prepare its data, start its ranks, see them end."""
