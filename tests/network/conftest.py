"""TensorFlow runs here as in a stage: one thread a kernel, the same bits on every CPU."""

import keras
import pytest

from cnn.network import runtime
from tests.network import networks

runtime.prepare("portable")


@pytest.fixture(scope="session")
def rich() -> keras.Sequential:
    """A network with batch normalisation and dropout, whose statistics are no longer the initial ones."""
    return networks.settled(networks.build(**networks.RICH))
