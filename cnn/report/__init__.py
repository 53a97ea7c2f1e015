"""The self-contained page about the last run: `python -m cnn.report`. Free of TensorFlow."""
