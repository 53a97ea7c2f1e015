"""What the tests of the splits share: a function that makes them, and how they are read."""

import pytest

from cnn.datasets import splits
from tests import tiny

LABELS = [0, 1, 2, 2] * 20  # 20, 20 and 40 images


@pytest.fixture
def run(tmp_path):
    """A function: write the splits of raw/ to processed/, half of the images each, and return the summary."""

    def start(seed=1, **changes):
        options = {"seed": seed, "validation_fraction": 0.5, "test_fraction": 0.5} | changes
        return splits.write(tiny.preprocess_options(**options), tmp_path / "raw", tmp_path / "processed")

    return start


@pytest.fixture
def before(tmp_path, make_raw, run, state):
    """A directory of raw files that are right, with a test set, and what an earlier run made of them."""
    make_raw(tmp_path / "raw", LABELS, [0, 1, 2, 0])
    run()
    return state(tmp_path / "processed")
