"""Tests: a module each for the modules of stages and checks, and one for the pipeline as a whole."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # before TensorFlow is imported: the tests run on the CPU
