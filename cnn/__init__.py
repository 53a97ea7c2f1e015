"""The library that the stages share, a room a concern; `cnn.lesson` is for notebooks."""
