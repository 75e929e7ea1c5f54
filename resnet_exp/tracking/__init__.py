"""Read runs from Weights & Biases, and publish the workspace and the report there."""
