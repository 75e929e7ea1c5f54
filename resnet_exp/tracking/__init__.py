"""What is read from Weights & Biases, and put there beside the runs."""
