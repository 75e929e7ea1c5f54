"""What ``speed=fast`` does otherwise than the original: the network compiled, checkpoints beside training."""
