"""A picture in, a class out. For `python -m cnn.predict`."""
