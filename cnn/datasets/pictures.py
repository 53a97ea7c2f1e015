"""One picture from a file or an array, made to be of the size that the network sees."""

import os
import struct
import warnings
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cnn.settings import schema

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# What Pillow raises for damaged files. MemoryError is none of them: it may be another process's fault.
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, EOFError,
    NotImplementedError, RuntimeError, struct.error,
)  # fmt: skip


class Wanted(Protocol):
    """What a picture is made to be: `preprocess` of params.yaml, or the card of a model."""

    @property
    def image(self) -> schema.Image: ...

    @property
    def fit(self) -> str: ...


class UnreadableError(Exception):
    """A file is no picture that can be read. Says why."""


def read(file: str | BinaryIO, wanted: Wanted, invert: bool = False) -> NDArray[np.uint8]:
    """Read a picture of any size, kind and format: (height, width, channels) uint8. Raises UnreadableError.

    invert: dark and light swapped, before it is made to fit.
    """
    return pixels(decode(file), wanted, invert)


def decode(file: str | BinaryIO) -> Image.Image:
    """Read a picture, upright; of an animated one the first frame. What its content is counts, not its name.

    Raises UnreadableError, also for one of more pixels than Pillow thinks safe (`Image.MAX_IMAGE_PIXELS`).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that do not keep it from being read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                image.load()
                if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                    return ImageOps.exif_transpose(image)
                return image
    except UnidentifiedImageError:
        size = os.path.getsize(file) if isinstance(file, str) else file.seek(0, os.SEEK_END)
        raise UnreadableError(f"expected one of {', '.join(FORMATS)}" if size else "the file is empty") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except DAMAGED as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableError(" ".join(said.split()) or type(error).__name__) from None


def pixels(image: Image.Image, wanted: Wanted, invert: bool = False) -> NDArray[np.uint8]:
    """A picture as an array (height, width, channels) of the size wanted. Raises UnreadableError."""
    height, width, channels = wanted.image.shape
    try:
        plain = _plain(image, "L" if channels == 1 else "RGB")
    except DAMAGED as error:
        raise UnreadableError(" ".join(str(error).split())) from None
    if invert:
        plain = ImageOps.invert(plain)
    fitted = FITS[wanted.fit](plain, width, height) if plain.size != (width, height) else plain
    return np.asarray(fitted).reshape(height, width, channels)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """A picture of 8-bit grey ("L") or colour ("RGB"), laid on white where it is transparent."""
    if image.mode.startswith("I;16"):  # the high byte, as Pillow itself takes of 16-bit colour
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadableError("its pixels have 32 bits, and no known range")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == mode else image.convert(mode)


def _stretch(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)  # averages over all pixels where it shrinks


def _pad(image: Image.Image, width: int, height: int) -> Image.Image:
    """The whole picture in the middle, with black at two sides."""
    wide, high = image.size
    if wide * height > width * high:
        size = width, max(1, (2 * high * width + wide) // (2 * wide))  # to the nearest
    else:
        size = max(1, (2 * wide * height + high) // (2 * high)), height
    whole = Image.new(image.mode, (width, height))
    whole.paste(_stretch(image, *size), ((width - size[0]) // 2, (height - size[1]) // 2))
    return whole


def _crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part of this shape from the middle."""
    wide, high = image.size
    if wide * height > width * high:
        part = max(1, (2 * high * width + height) // (2 * height)), high
    else:
        part = wide, max(1, (2 * wide * height + width) // (2 * width))
    left, top = (wide - part[0]) // 2, (high - part[1]) // 2
    return _stretch(image.crop((left, top, left + part[0], top + part[1])), width, height)


FITS = {"pad": _pad, "crop": _crop, "stretch": _stretch}
