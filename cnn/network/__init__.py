"""The network: how TensorFlow is set up, build, run, save and load. For train and evaluate."""
