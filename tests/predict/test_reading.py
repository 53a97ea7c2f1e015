"""Tests of cnn/predict/reading.py: which files in a folder are answered."""

import pytest

from cnn.predict import reading
from cnn.process.errors import InputError


def test_what_is_hidden_is_left_out_with_all_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a é/1.jpg", ".thumbnails/b.png", "a é/.1.jpg", "notes.txt"):
        (tmp_path / "shots" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shots" / name).touch()
    (tmp_path / "shots/dead.png").symlink_to("none.png")
    (tmp_path / "shots/self.png").symlink_to("self.png")
    (tmp_path / "shots/up.png").symlink_to("..")
    wanted = [f"shots/{name}" for name in ("a é/1.jpg", "b.PNG", "dead.png", "self.png")]
    assert reading.find(["shots/"]) == reading.find(["./shots"]) == wanted
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Received: a folder of none"):
        reading.find(["empty"])
