"""Draws and writes what `resnet_exp.results` computes."""
