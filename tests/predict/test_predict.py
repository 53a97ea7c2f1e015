"""`python -m cnn.predict`: answers are those of the network, whatever a picture comes as; no file is a traceback."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnn.network import card, familiar, inference, saved
from cnn.settings import schema
from tests import tiny
from tests.network import networks

pytestmark = pytest.mark.slow  # each command imports TensorFlow

NAMES = ["lying", "standing, bright", "<b>leaning</b>"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model alone, as someone else may have been sent it, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("elsewhere")
    known = familiar.learn(tiny.bars(500, seed=1)[0], tiny.bars(300, seed=2)[0])
    size = schema.Image(height=12, width=12, channels=1)
    about = card.Card("bars", NAMES, size, "pad", known)
    saved.save_model(networks.build(), folder / "moved.keras", card.entries(about))
    (folder / "pictures/deep").mkdir(parents=True)
    for number, image in enumerate(tiny.bars(30, seed=3)[0]):
        Image.fromarray(image[:, :, 0]).save(folder / f"pictures/{'deep/' * (number % 2)}{number:02}.png")
    return folder


def predict(place, *arguments, status=0, content=None):
    """Run the command on the moved model: (its standard output, its standard error), as bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "cnn.predict", "--model", "moved.keras", *arguments],
        cwd=place, env=tiny.environment(), input=content, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr.decode(errors="replace")
    assert b"Traceback" not in done.stderr
    return done.stdout, done.stderr


def expected(place, images):
    probabilities = inference.predictor(saved.load_model(place / "moved.keras"))(images, 960)
    return [NAMES[label] for label in probabilities.argmax(axis=1)], probabilities.max(axis=1)


def test_a_folder_is_answered_in_order_as_the_network_does(place):
    out, _ = predict(place, "pictures", "--csv")
    rows = list(csv.DictReader(io.StringIO(out.decode())))
    order = [int(row["picture"][-6:-4]) for row in rows]
    assert [row["picture"] for row in rows] == sorted(row["picture"] for row in rows)
    assert sorted(order) == list(range(30))
    classes, probabilities = expected(place, tiny.bars(30, seed=3)[0][order])
    assert [row["class"] for row in rows] == classes
    assert [float(row["probability"]) for row in rows] == pytest.approx(probabilities, abs=1e-6)
    assert {row["class"] for row in rows} | {row["class_2"] for row in rows} | {row["class_3"] for row in rows} == set(
        NAMES
    )
    assert {row["familiar"] for row in rows} == {"true"}


def test_a_negative_on_standard_input_is_noticed_and_can_be_turned(place):
    image = tiny.bars(1, seed=3)[0][0, :, :, 0]
    ImageOps.invert(Image.fromarray(image)).save(content := io.BytesIO(), "BMP")
    (answer,) = map(json.loads, predict(place, "-", "--json", content=content.getvalue())[0].splitlines())
    assert (answer["picture"], answer["familiar"], answer["inverted"]) == ("-", False, True)
    (answer,) = map(json.loads, predict(place, "-", "--json", "--invert", content=content.getvalue())[0].splitlines())
    assert (answer["familiar"], answer["inverted"]) == (True, False)
    (name,), (probability,) = expected(place, image[np.newaxis, :, :, np.newaxis])
    assert answer["class"] == name
    assert answer["probability"] == pytest.approx(probability, abs=1e-6)
    assert "try --invert" in predict(place, "-", content=content.getvalue())[0].decode()


def test_what_cannot_be_read_is_named_and_the_rest_is_answered(place):
    folder = place / "odd"
    folder.mkdir()
    names = ["empty.png", "text.png", "cut.png", "ünï\ncode.png", os.fsdecode(b"latin-\xe9.png"), 'a,b"c.png']
    whole = (place / "pictures/00.png").read_bytes()
    for name, content in zip(names, [b"", b"hello", whole[:60], whole, whole, whole], strict=True):
        (folder / name).write_bytes(content)
    (folder / "noise.png").write_bytes(b"")
    Image.fromarray(networks.noise(1, (12, 12))[0]).save(folder / "noise.png")
    for form in ((), ("--json",), ("--csv",)):
        out, err = predict(place, "odd", *form, status=1)
        lines = err.decode(errors="surrogateescape").splitlines()
        assert [line.split(": ")[1] for line in lines] == [
            f"odd/{name}" for name in ("cut.png", "empty.png", "text.png")
        ]
        assert "the file is empty" in lines[1]
        assert b"latin-\xe9" in out or b"latin-\\udce9" in out
    rows = list(csv.reader(io.StringIO(out.decode(errors="surrogateescape"), newline="")))
    assert [row[0] for row in rows[1:]] == sorted(f"odd/{name}" for name in [*names[3:], "noise.png"])
    assert {row[0]: row[-2] for row in rows}["odd/noise.png"] == "false"


def test_nothing_there_is_one_clear_line(place, tmp_path):
    (place / "void").mkdir()
    for arguments, said in (
        (["nono.png"], "nono.png: expected a picture"),
        (["void"], "void: expected pictures"),
        (["pictures", "--model", "none.keras"], "none.keras"),
        (["pictures", "--model", "pictures/00.png"], "expected a model with its card"),
    ):
        out, err = predict(place, *arguments, status=2)
        assert out == b""
        (line,) = err.decode().splitlines()
        assert line.startswith("predict: ")
        assert said in line


def test_a_reader_that_has_seen_enough_is_no_fault(place):
    command = f"{sys.executable} -m cnn.predict --model moved.keras pictures pictures pictures | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=place, env=tiny.environment(), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)
