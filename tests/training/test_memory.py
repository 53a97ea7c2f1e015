"""A batch that cannot fit into memory is refused before the first step."""

import numpy as np
import pytest

from cnn.network.build import build_cnn_model
from cnn.process.errors import InputError
from cnn.training import memory
from cnn.training.loop import train_cnn_model
from tests import tiny
from tests.training.small import network


def test_a_batch_that_cannot_fit_into_memory_is_refused_before_the_first_step():
    options = tiny.model_options(blocks=tiny.blocks([1024], pool_size=50))
    model = build_cnn_model((2000, 2000, 1), 3, options)
    images = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (1000, 2000, 2000, 1))  # of no size in memory
    with pytest.raises(
        InputError, match=r"which needs at least 65461\.9 GB\. Lower it, or the filters in model\.blocks\.$"
    ):
        train_cnn_model(model, images, np.zeros(1000, np.uint8), tiny.train_options(batch_size=1000))


def test_a_batch_that_fits_is_let_through():
    memory.require(network(), 1000)
