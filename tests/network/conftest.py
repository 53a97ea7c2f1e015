"""TensorFlow runs here as in a stage: one thread a kernel, the same bits on every CPU."""

import pytest

from cnn.network import runtime

runtime.prepare("portable")  # before the import of TensorFlow, or not all of it has an effect


@pytest.fixture(scope="session")
def rich():
    """A network with batch normalisation and dropout, whose statistics are no longer the initial ones."""
    from tests.network import networks

    return networks.settled(networks.build(**networks.RICH))
