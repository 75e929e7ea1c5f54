"""Plans: time, cost, accuracy and disk space of a run or a sweep."""
