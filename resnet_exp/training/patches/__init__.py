"""What libraries do differently in the process of a rank: a file for each, with the reason and the version."""
