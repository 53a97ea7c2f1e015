"""Tests of cnn/datasets/pictures.py, on real files of each format and kind."""

import io
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cnn.datasets import pictures
from tests.tiny import preprocess_options

RED, GREY_OF_RED = (255, 0, 0), 76  # ITU-R 601-2, as Pillow's documentation of `convert` has it: 0.299 of red
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tif": "TIFF"}


def saved(path, image, **options):
    image.save(path, **options)
    return str(path)


def noise(height=8, width=6, mode="RGB", seed=0):
    """A picture of noise in Pillow's mode."""
    shape = (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).convert(mode)


def read(path, height=8, width=6, channels=3, fit="pad"):
    return pictures.read(str(path), preprocess_options(height, width, channels, fit=fit))


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_size_wanted_keeps_its_pixels(tmp_path, ending, channels):
    image = noise(mode="L" if channels == 1 else "RGB")
    options = {"lossless": True} if ending == "webp" else {}
    found = read(saved(tmp_path / f"a.{ending}", image, **options), channels=channels)
    assert (found.dtype, found.shape) == (np.uint8, (8, 6, channels))
    np.testing.assert_array_equal(found.squeeze(), np.asarray(image))


@pytest.mark.parametrize("ending", FORMATS)
def test_each_format_is_read_in_grey_and_in_colour(tmp_path, ending):
    path = saved(tmp_path / f"a.{ending}", Image.new("RGB", (6, 8), RED))
    np.testing.assert_allclose(read(path).astype(int), np.full((8, 6, 3), RED), atol=3)
    np.testing.assert_allclose(read(path, channels=1).astype(int), GREY_OF_RED, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_pictures_stand_upright(tmp_path, orientation, ending):
    """As JEITA CP-3451 (Exif 2.32), tag 274, says: where the stored rows and columns belong."""
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 255  # bright at the top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    found = read(path, 16, 24)
    assert found[:6, :10].min() > 230
    assert found[10:].max() < 30
    assert found[:, 14:].max() < 30


def test_what_is_transparent_becomes_white(tmp_path):
    image = Image.new("RGBA", (6, 8), (*RED, 0))
    image.paste((*RED, 255), (0, 0, 3, 8))
    image.paste((0, 0, 0, 128), (3, 0, 6, 4))
    found = read(saved(tmp_path / "a.png", image))
    assert found[0, 0].tolist() == list(RED)
    assert found[7, 5].tolist() == [255, 255, 255], "not the red below"
    assert found[0, 5].tolist() == [127, 127, 127]


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_grey_colour_and_palettes_are_laid_on_white(tmp_path, mode, channels):
    image = Image.new("RGBA", (6, 8), (0, 0, 0, 0)) if mode == "LA" else Image.new(mode, (6, 8))
    options = {"LA": {}, "P": {"transparency": 0}, "L": {"transparency": 0}, "RGB": {"transparency": (0, 0, 0)}}[mode]
    assert (read(saved(tmp_path / "a.png", image.convert(mode), **options), channels=channels) == 255).all()


def test_palettes_and_black_and_white_become_colours(tmp_path):
    image = noise().quantize(8)
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", image)), np.asarray(image.convert("RGB")))
    image = noise().convert("1")
    found = read(saved(tmp_path / "b.png", image), channels=1)
    np.testing.assert_array_equal(found[..., 0], np.asarray(image) * 255)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_of_16_bits_the_upper_8_count(tmp_path, ending):
    values = np.arange(48, dtype=np.uint16).reshape(8, 6) * 1365
    found = read(saved(tmp_path / f"a.{ending}", Image.fromarray(values)), channels=1)
    np.testing.assert_array_equal(found[..., 0], values // 256)
    colour = read(saved(tmp_path / f"a.{ending}", Image.fromarray(values)))
    np.testing.assert_array_equal(colour, np.repeat(found, 3, axis=2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_have_no_known_range(tmp_path, mode):
    with pytest.raises(pictures.UnreadableError, match="32 bits"):
        read(saved(tmp_path / "a.tif", Image.new(mode, (6, 8), 70000)))


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_becomes_colour(tmp_path, ending):
    image = Image.new("CMYK", (6, 8), (0, 255, 255, 0))
    np.testing.assert_allclose(
        read(saved(tmp_path / f"a.{ending}", image)).astype(int), np.full((8, 6, 3), RED), atol=3
    )


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_several_frames_the_first_counts(tmp_path, ending):
    frames = [Image.new("RGB", (6, 8), colour) for colour in ("white", "black")]
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"a.{ending}", frames[0], save_all=True, append_images=frames[1:], **options)
    assert (read(path) == 255).all()


@pytest.mark.parametrize("wrong", FORMATS)
def test_the_content_decides_and_not_the_name(tmp_path, wrong):
    path = saved(tmp_path / "a.png", noise())
    shutil.move(path, tmp_path / f"b.{wrong}")
    np.testing.assert_array_equal(read(tmp_path / f"b.{wrong}"), np.asarray(noise()))


# -- size --


def bright(height, width):
    return Image.new("L", (width, height), 200)


@pytest.mark.parametrize(
    ("size", "box"),
    [((10, 20), (3, 9, 0, 12)), ((20, 10), (0, 12, 3, 9)), ((3, 4), (1, 10, 0, 12)), ((1, 1000), (5, 6, 0, 12)),
     ((1000, 1), (0, 12, 5, 6)), ((5, 5), (0, 12, 0, 12))],
)  # fmt: skip
def test_pad_keeps_the_whole_picture_in_the_middle(size, box):
    found = pictures.pixels(bright(*size), preprocess_options(12, 12, 1))[..., 0]
    top, bottom, left, right = box
    expected = np.zeros((12, 12), np.uint8)
    expected[top:bottom, left:right] = 200
    np.testing.assert_array_equal(found, expected)


def test_crop_takes_the_middle_and_stretch_the_whole():
    image = np.zeros((12, 36), np.uint8)
    image[:, 12:24] = 200
    found = pictures.pixels(Image.fromarray(image), preprocess_options(12, 12, 1, fit="crop"))
    assert (found == 200).all()
    found = pictures.pixels(Image.fromarray(image), preprocess_options(12, 12, 1, fit="stretch"))[..., 0]
    assert (found[:, 5:7] == 200).all()
    assert (found[:, [0, 1, 2, 9, 10, 11]] == 0).all()


def test_what_shrinks_is_averaged():
    """A checkerboard of single pixels becomes grey: none is skipped."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 200
    found = pictures.pixels(Image.fromarray(board.astype(np.uint8)), preprocess_options(8, 8, 1))
    np.testing.assert_allclose(found, 100, atol=2)


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    wanted=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
)
def test_any_size_becomes_any_other(size, wanted, fit):
    found = pictures.pixels(bright(*size), preprocess_options(*wanted, fit=fit))
    assert (found.shape, found.dtype) == (wanted, np.uint8)
    if fit != "pad":
        assert (found == 200).all()
    else:
        rows, columns = found.any(axis=(1, 2)), found.any(axis=(0, 2))
        assert rows.all() or columns.all(), "one side is filled"
        assert set(np.unique(found)) <= {0, 200}


# -- what cannot be read --


def reason(path):
    with pytest.raises(pictures.UnreadableError) as error:
        read(path)
    return str(error.value)


def test_an_empty_file_and_one_that_is_no_picture_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert reason(tmp_path / "a.png") == "the file is empty"
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 8\n")
    assert reason(tmp_path / "b.png") == "expected one of PNG, JPEG, WEBP, BMP, GIF, TIFF"


def test_a_dead_link_and_a_file_without_permission_are_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "none.png")
    assert reason(tmp_path / "a.png") == "No such file or directory"


@pytest.mark.parametrize("ending", FORMATS)
def test_a_truncated_file_is_named(tmp_path, ending):
    content = io.BytesIO()
    noise(64, 64).save(content, FORMATS[ending])
    (tmp_path / f"a.{ending}").write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
    assert reason(tmp_path / f"a.{ending}")


def test_a_decompression_bomb_is_refused_unopened(tmp_path):
    """200 kB that would be 100 million pixels."""
    path = saved(tmp_path / "a.png", Image.new("1", (10_000, 10_000)))
    assert reason(path) == "more than 89,478,485 pixels"


ENCODED = {}
for name in FORMATS.values():
    noise(16, 12).save(buffer := io.BytesIO(), name)
    ENCODED[name] = buffer.getvalue()


@given(data=st.data(), name=st.sampled_from(sorted(ENCODED)))
def test_a_damaged_file_is_read_or_named(tmp_path_factory, data, name):
    content = bytearray(ENCODED[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read(path).shape == (8, 6, 3)
    except pictures.UnreadableError as error:
        assert str(error)
        assert "\n" not in str(error)


def test_exif_that_pillow_turns_itself_is_not_turned_twice(tmp_path):
    """Pillow turns TIFF while it loads."""
    exif = Image.Exif()
    exif[274] = 6
    path = saved(tmp_path / "a.tif", noise(8, 6), exif=exif)
    expected = ImageOps.exif_transpose(Image.open(path))
    np.testing.assert_array_equal(read(path, 6, 8), np.asarray(expected))
