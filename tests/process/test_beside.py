"""Processes beside this one. How they end is in tests/datasets/test_reading.py."""

import errno
import os

import pytest

from cnn.process import beside


def test_an_error_of_a_process_keeps_its_reason_and_its_file():
    with beside.pool(1) as pool, pytest.raises(FileNotFoundError) as failed:
        beside.result(pool.submit(os.stat, "/nowhere"), "look")
    assert (failed.value.errno, failed.value.filename) == (errno.ENOENT, "/nowhere")
