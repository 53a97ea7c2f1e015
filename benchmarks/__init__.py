"""Side by side against plain Keras, and growth with the size of the data."""
