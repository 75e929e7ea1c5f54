"""Training steps on paper: the kernels of a ResNet, the peaks of GPUs, the links between them."""
