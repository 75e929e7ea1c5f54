"""Plot and write what `resnet_exp.results` computes."""
