"""Pictures inside the page: PNG, as data URIs."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

LARGEST = 64  # pixels: what is larger is shown smaller
BLUE, ORANGE = (31, 95, 168), (217, 114, 46)  # positive, negative
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to PNG's number for them


def data_uri(image: NDArray[np.uint8]) -> str:
    """A picture (height, width, channels) as a PNG (W3C, Portable Network Graphics, 2003) in a data URI."""
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # the first byte of a row: how it is filtered, not at all
    rows[:, 1:] = image.reshape(height, -1)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    chunks = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    ]
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image, or where a side is longer than LARGEST the means of its blocks."""
    height, width, channels = image.shape
    block = -(-max(height, width) // LARGEST)
    rows, columns = max(height // block, 1), max(width // block, 1)
    cut = image[: rows * block, : columns * block]
    blocks = cut.reshape(rows, len(cut) // rows, columns, cut.shape[1] // columns, channels)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def filters(kernels: NDArray[np.float32]) -> list[str]:
    """Pictures of the first layer's filters: kernels (height, width, channels, filters).

    Of three channels: red, green and blue, a weight of zero in the middle of the range. Else the mean over the
    channels: blue where it is positive, orange where negative, the stronger the farther from zero.
    """
    limit = float(np.abs(kernels).max()) or 1.0
    if kernels.shape[2] == 3:
        pixels = (127.5 + 127.5 * kernels / limit).round().astype(np.uint8)
        return [data_uri(pixels[..., number]) for number in range(kernels.shape[3])]
    means = kernels.mean(axis=2) / limit
    coloured = np.empty((*means.shape, 4), np.uint8)
    coloured[..., :3] = np.where(means[..., np.newaxis] < 0, ORANGE, BLUE)
    coloured[..., 3] = (255 * np.abs(means)).round()
    return [data_uri(coloured[:, :, number]) for number in range(kernels.shape[3])]
