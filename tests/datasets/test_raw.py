"""Tests of cnn/datasets/raw.py: raw files that are missing or damaged, and the last result that stays."""

import json
import shutil

import numpy as np
import pytest

from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS, open_split
from tests.datasets.conftest import LABELS
from tests.tiny import ROOT, fresh_python

IMAGES = np.random.default_rng(9).integers(0, 256, (80, 5, 4), np.uint8)
# Which file is replaced by which values, and the error.
RAW_FAULTS = {
    "label without a class": (
        "train-labels",
        [3, *LABELS[1:]],
        "{path}: expected labels from 0 to 2. Received: 3.",
    ),
    "class without images": (
        "train-labels",
        [1] * 40 + [2] * 40,
        "{path}: expected images of every class. Received: none of ant.",
    ),
    "classes without images": (
        "train-labels",
        [1] * 80,
        "{path}: expected images of every class. Received: none of ant, cat.",
    ),
    "fewer labels than images": (
        "train-labels",
        LABELS[:-1],
        "{path}: expected as many labels as images. Received: 79 and 80.",
    ),
    "fewer images than labels": (
        "train-images",
        IMAGES[:-1],
        "{labels}: expected as many labels as images. Received: 80 and 79.",
    ),
    "no labels": ("train-labels", [], "{path}: expected as many labels as images. Received: 0 and 80."),
    "images for labels": (
        "train-labels",
        IMAGES,
        "{path}: expected labels in one dimension, images in three or four. Received: (80, 5, 4) and (80, 5, 4).",
    ),
    "labels for images": (
        "train-images",
        LABELS,
        "{labels}: expected labels in one dimension, images in three or four. Received: (80,) and (80,).",
    ),
    "turned images": (
        "train-images",
        IMAGES.transpose(0, 2, 1),
        "{labels}: expected images of [5, 4] pixels. Received: [4, 5].",
    ),
    "test label without a class": (
        "test-labels",
        [0, 1, 2, 255],
        "{path}: expected labels from 0 to 2. Received: 255.",
    ),
    "fewer test labels": (
        "test-labels",
        [0, 1, 2],
        "{path}: expected as many labels as images. Received: 3 and 4.",
    ),
    "small test images": (
        "test-images",
        IMAGES[:4, 1:, 1:],
        "{labels}: expected images of [5, 4] pixels. Received: [4, 3].",
    ),
}


@pytest.mark.parametrize(("name", "values", "error"), RAW_FAULTS.values(), ids=RAW_FAULTS)
def test_wrong_raw_files_are_refused_and_the_last_result_stays(
    tmp_path, write_idx, run, state, before, name, values, error
):
    path = tmp_path / "raw" / name
    write_idx(path, values)
    with pytest.raises(InputError) as caught:
        run()
    labels = path.with_name(f"{name.split('-')[0]}-labels")
    assert str(caught.value) == error.format(path=path, labels=labels)
    assert state(tmp_path / "processed") == before


def test_a_truncated_raw_file_is_refused_and_the_last_result_stays(tmp_path, run, state, before):
    path = tmp_path / "raw/test-images"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == f"{path}: expected 96 bytes for shape (4, 5, 4). Received: 95 bytes."
    assert state(tmp_path / "processed") == before


def test_an_empty_data_set_is_refused(tmp_path, make_raw, run, state):
    make_raw(tmp_path / "raw", [])
    with pytest.raises(InputError) as caught:
        run()
    path = tmp_path / "raw/train-labels"
    assert str(caught.value) == f"{path}: expected images. Received: none."
    assert state(tmp_path / "processed") == {}


@pytest.mark.parametrize("name", ["test-labels", "test-images"])
def test_half_a_test_set_is_no_reason_to_test_on_other_images(tmp_path, run, state, before, name):
    (tmp_path / "raw" / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:  # cnn/process/errors.py words it
        run()
    assert caught.value.filename == str(tmp_path / "raw" / name)
    assert state(tmp_path / "processed") == before


FILES = {role: role for role in ("train_images", "train_labels", "test_images", "test_labels")}
ABOUT = {"name": "noise", "title": "Noise", "classes": ["ant", "bee", "cat"], "shape": [5, 4, 1]}


def without(*roles):
    """The description of a data set of which these files are not named."""
    return json.dumps(ABOUT | {"files": {role: name for role, name in FILES.items() if role not in roles}})


DESCRIPTIONS = {
    "empty": "",
    "cut": "{",
    "list": "[]",
    "no classes": '{"name": "noise"}',
    "as former versions wrote it": json.dumps(ABOUT),
    "no files": without(*FILES),
    "no training labels": without("train_labels"),
    "no test labels": without("test_labels"),
    "no test images": without("test_images"),
    "path": json.dumps(ABOUT | {"files": FILES | {"train_images": "../train-images"}}),
}


@pytest.mark.parametrize("content", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_damaged_description_is_refused(tmp_path, run, state, before, content):
    (tmp_path / "raw/dataset.json").write_text(content)
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value).startswith(f"{tmp_path / 'raw/dataset.json'}: expected what download writes: ")
    assert str(caught.value).endswith(" Run `dvc repro`.")
    assert state(tmp_path / "processed") == before


def test_only_files_that_the_description_names_are_read(tmp_path, make_raw, run):
    make_raw(tmp_path / "raw", LABELS)
    for name in ("t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "test-images", "test-labels"):
        (tmp_path / "raw" / name).write_bytes(b"of another data set")
    assert run()["test"]["images"] == 40


def test_files_may_have_any_names(tmp_path, make_raw, run, state, before):
    about = json.loads((tmp_path / "raw/dataset.json").read_text())
    names = dict(zip(about["files"], ("alpha", "beta", "train-images", "0"), strict=True))
    content = {name: (tmp_path / "raw" / about["files"][role]).read_bytes() for role, name in names.items()}
    for path in (tmp_path / "raw").iterdir():
        path.unlink()
    for name, bytes_ in content.items():
        (tmp_path / "raw" / name).write_bytes(bytes_)
    (tmp_path / "raw/dataset.json").write_text(json.dumps(about | {"files": names}))
    run()
    assert state(tmp_path / "processed") == before


def test_colour_images_are_not_taken_from_grey_files(tmp_path, run, state, before):
    about = tmp_path / "raw/dataset.json"
    about.write_text(about.read_text().replace("[5, 4, 1]", "[5, 4, 3]"))
    with pytest.raises(InputError) as caught:
        run()
    labels = tmp_path / "raw/train-labels"
    assert str(caught.value) == f"{labels}: expected images of [5, 4, 3] pixels. Received: [5, 4]."
    assert state(tmp_path / "processed") == before


def test_colour_images_arrive_as_they_are(tmp_path, write_idx, run):
    images = np.random.default_rng(4).integers(0, 256, (80, 5, 4, 3), np.uint8)
    write_idx(tmp_path / "raw/train-images", images)
    write_idx(tmp_path / "raw/train-labels", LABELS)
    names = {f"train_{kind}": f"train-{kind}" for kind in ("images", "labels")}
    (tmp_path / "raw/dataset.json").write_text(json.dumps(ABOUT | {"shape": [5, 4, 3], "files": names}))
    assert run(image={"height": 5, "width": 4, "channels": 3})["shape"] == [5, 4, 3]
    found = {image.tobytes() for split in SPLITS for image in open_split(split, tmp_path / "processed")[0]}
    assert found == {image.tobytes() for image in images}


@pytest.mark.parametrize("missing", ["dataset.json", "train-labels", "train-images"])
def test_a_missing_raw_file_is_told_with_the_way_on(tmp_path, make_raw, params_text, missing):
    make_raw(tmp_path / "data/raw", LABELS)
    (tmp_path / "data/raw" / missing).unlink()
    (tmp_path / "params.yaml").write_text(params_text)
    shutil.copy(ROOT / "data/sources.yaml", tmp_path / "data")
    done = fresh_python("import runpy; runpy.run_module('stages.preprocess', run_name='__main__')", cwd=tmp_path)
    message = (
        f"preprocess: No such file or directory: 'data/raw/{missing}'. "
        "To go on: run `dvc repro`, which makes it, then run again.\n"
    )
    assert (done.returncode, done.stderr) == (1, message)
    assert not (tmp_path / "data/processed").exists()
