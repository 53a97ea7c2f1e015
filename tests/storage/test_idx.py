"""Tests of cnn/storage/idx.py."""

import struct

import numpy as np
import pytest

from cnn.process.errors import InputError
from cnn.storage import pieces
from cnn.storage.idx import idx_rows, idx_shape


def header(*shape, kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


def test_an_idx_file_is_read_as_it_was_written(tmp_path, write_idx, monkeypatch):
    monkeypatch.setattr(pieces, "BYTES", 3 * 5 * 4)
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 4), np.uint8)
    write_idx(tmp_path / "images", images)
    assert (tmp_path / "images").read_bytes()[:8] == b"\0\0\x08\x03\0\0\0\x08", "big-endian, as published"
    assert idx_shape(tmp_path / "images") == (8, 5, 4)
    read = list(idx_rows(tmp_path / "images"))
    assert [len(piece) for piece in read] == [3, 3, 2]
    np.testing.assert_array_equal(np.concatenate(read), images)


def test_rows_of_a_transposed_array_keep_their_order(tmp_path, write_idx):
    images = np.arange(60, dtype=np.uint8).reshape(4, 5, 3).T
    write_idx(tmp_path / "images", images)
    np.testing.assert_array_equal(next(idx_rows(tmp_path / "images")), images)


MAGIC = "expected an IDX file of uint8 (0x00000801, 803 or 804). Received: 0x"
IDX_FAULTS = {
    "empty": (b"", MAGIC + "."),
    "magic cut": (b"\0\0\x08", MAGIC + "000008."),
    "floats": (header(1, kind=0x0D) + b"....", MAGIC + "00000d01."),
    "two dimensions": (header(1, 2) + b"..", MAGIC + "00000802."),
    "still gzipped": (b"\x1f\x8b\x08\0....", MAGIC + "1f8b0800."),
    "page in HTML": (b"<!DOCTYPE html>", MAGIC + "3c21444f."),
    "header cut": (header(1, 2, 3)[:-1], "expected an IDX header of 16 bytes. Received: 15 bytes."),
    "no header": (header(1)[:4], "expected an IDX header of 8 bytes. Received: 4 bytes."),
    "truncated": (header(2, 2, 3) + bytes(11), "expected 28 bytes for shape (2, 2, 3). Received: 27 bytes."),
    "lengthened": (header(4) + bytes(5), "expected 12 bytes for shape (4,). Received: 13 bytes."),
    "huge": (
        header(2**32 - 1, 2**32 - 1, 2**32 - 1),
        "expected 79228162458924105385300197391 bytes for shape (4294967295, 4294967295, 4294967295). "
        "Received: 16 bytes.",
    ),
}


@pytest.mark.parametrize(("content", "error"), IDX_FAULTS.values(), ids=IDX_FAULTS)
def test_a_damaged_idx_file_is_refused(tmp_path, content, error):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(idx_rows(path))
    assert str(caught.value) == f"{path}: {error}"
