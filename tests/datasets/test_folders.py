"""Tests of cnn/datasets/folders.py: what is a class, a part, a picture, and what is refused."""

import os

import pytest

from cnn.datasets import folders
from cnn.process.errors import InputError


def fill(root, *paths):
    """Make empty files: listing opens none."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def refused(root):
    with pytest.raises(InputError) as error:
        folders.list_pictures(root)
    return str(error.value)


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    listing = folders.list_pictures(fill(tmp_path, "dog/1.png", "cat/9.jpg", "cat/10.JPEG", "ant/x.webp"))
    assert listing.classes == ["ant", "cat", "dog"]
    assert listing.parts == {"train": [("ant/x.webp", 0), ("cat/10.JPEG", 1), ("cat/9.jpg", 1), ("dog/1.png", 2)]}
    assert listing.ignored == {}


def test_parts_have_classes_in_them_and_folders_may_be_nested(tmp_path):
    root = fill(tmp_path, "train/a/deep/er/1.png", "train/b/1.tif", "test/a/1.bmp", "test/b/1.gif", "test/b/c/1.tiff")
    listing = folders.list_pictures(root)
    assert listing.parts["train"] == [("train/a/deep/er/1.png", 0), ("train/b/1.tif", 1)]
    assert listing.parts["test"] == [("test/a/1.bmp", 0), ("test/b/1.gif", 1), ("test/b/c/1.tiff", 1)]
    assert list(listing.parts) == ["train", "test"]
    fill(root, "validation/a/1.png", "validation/b/1.png")
    assert list(folders.list_pictures(root).parts) == ["train", "validation", "test"]


def test_what_is_no_picture_is_counted_by_its_kind(tmp_path):
    root = fill(
        tmp_path, "a/1.png", "b/1.png", "a/.hidden.png", ".git/x.png", "b/Thumbs.db", "a/notes.txt", "labels.csv",
        "stray.png", "a/noending", "a/x.PSD",
    )  # fmt: skip
    os.mkfifo(tmp_path / "a/pipe.png")
    listing = folders.list_pictures(root)
    assert [path for path, _ in listing.parts["train"]] == ["a/1.png", "b/1.png"]
    assert listing.ignored == {
        "hidden": 2, "Thumbs.db": 1, ".txt": 1, ".csv": 1, "in no class's folder": 1, "without an ending": 1, ".PSD": 1,
        "no files": 1,
    }  # fmt: skip


NAMES = [
    "猫",
    "собака",
    "a b",
    "two\nlines",
    "Cat",
    "cat",
    "name, with \"quotes\" & 'more'",
    "é" * 127,
    "-rf",
    "$HOME",
    "%s",
]


def test_names_of_any_script_and_length_stay_as_they_are(tmp_path):
    long = "字" * 83 + ".a" + ".png"  # 255 bytes
    root = fill(tmp_path, *(f"{name}/{long}" for name in NAMES))
    listing = folders.list_pictures(root)
    assert listing.classes == sorted(NAMES)
    assert [path for path, _ in listing.parts["train"]] == sorted(f"{name}/{long}" for name in NAMES)


def test_a_class_without_pictures_is_named(tmp_path):
    (fill(tmp_path, "cat/1.png", "dog/1.txt") / "eel").mkdir()
    assert refused(tmp_path).endswith("Received: none of 'dog', 'eel'. Ignored: 1 .txt.")
    root = fill(tmp_path / "parts", "train/cat/1.png", "train/dog/1.png", "test/cat/1.png")
    (root / "test/dog").mkdir()
    assert refused(root).startswith(f"{root}/test: expected pictures of each class")


def test_no_folder_and_too_few_or_too_many_classes_are_refused(tmp_path):
    assert "expected a folder of pictures. Received: none." in refused(tmp_path / "none")
    assert refused(tmp_path) == f"{tmp_path}: expected a folder for each of 2 to 256 classes. Received: 0."
    root = fill(tmp_path, *(f"{number}/1.png" for number in range(256)))
    assert len(folders.list_pictures(root).classes) == 256
    assert "Received: 257." in refused(fill(root, "one more/1.png"))


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["train/a/1.png", "train/b/1.png", "val/a/1.png"], "'train', 'val'"),
        (["test/a/1.png", "validation/a/1.png"], "'test', 'validation'"),
        (["Train/a/1.png", "Train/b/1.png", "Test/a/1.png", "Test/b/1.png"], "'Test', 'Train'"),
        (["bus/1.png", "train/1.png", "truck/1.png"], "'bus', 'train', 'truck'"),
    ],
)
def test_parts_of_other_names_are_not_taken_for_classes(tmp_path, paths, said):
    assert f"train at least. Received: {said}." in refused(fill(tmp_path, *paths))


def test_a_class_may_be_called_train_within_a_part(tmp_path):
    listing = folders.list_pictures(fill(tmp_path, "train/bus/1.png", "train/train/1.png"))
    assert listing.parts == {"train": [("train/bus/1.png", 0), ("train/train/1.png", 1)]}


@pytest.mark.parametrize("path", ["test/c/1.png", "train/c/1.png"])
def test_a_class_that_is_in_one_part_only_is_named(tmp_path, path):
    root = fill(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", path)
    assert refused(root) == (f"{root}: expected the same classes in train and test. Received: 'c' in one of them only.")


def test_links_that_lead_out_are_refused_and_named(tmp_path):
    root = fill(tmp_path / "pets", "a/1.png", "b/1.png")
    fill(tmp_path, "elsewhere/a/secret.png", "pets-2/secret.png")
    (root / "a/inside.png").symlink_to("../b/1.png")
    listing = folders.list_pictures(root)
    assert [path for path, _ in listing.parts["train"]] == ["a/1.png", "a/inside.png", "b/1.png"]
    (root / "a/out.png").symlink_to("../../elsewhere/a/secret.png")
    (root / "a/near.png").symlink_to("../../pets-2/secret.png")
    (root / "c").symlink_to(tmp_path / "elsewhere/a")
    said = refused(root)
    assert "expected no link that leads out of it" in said
    assert [line.strip() for line in said.splitlines()[1:-1]] == ["'a/near.png'", "'a/out.png'", "'c'"]


@pytest.mark.parametrize("name", ["dead.png", ".#lock"])
def test_links_to_nothing_are_refused_and_named(tmp_path, name):
    """DVC cannot read them: it would end the run before preprocess."""
    root = fill(tmp_path, "a/1.png", "b/1.png")
    (root / "a" / name).symlink_to("2.png")
    (root / "b/self.png").symlink_to("self.png")
    assert f"Received:\n  'a/{name}'\n  'b/self.png'\n" in refused(root)


def test_links_to_folders_within_are_not_followed(tmp_path):
    root = fill(tmp_path, "a/1.png", "b/1.png")
    (root / "a/loop").symlink_to("..")
    (root / "c").symlink_to("a")
    listing = folders.list_pictures(root)
    assert (listing.classes, listing.ignored) == (["a", "b"], {"no files": 2})


def test_the_folder_itself_may_be_a_link(tmp_path):
    fill(tmp_path / "disk", "a/1.png", "b/1.png")
    (tmp_path / "pets").symlink_to("disk")
    assert len(folders.list_pictures(tmp_path / "pets").parts["train"]) == 2


def test_a_folder_name_that_is_no_text_is_refused(tmp_path):
    fill(tmp_path, "a/1.png")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    assert refused(tmp_path).endswith(r"expected folder names in UTF-8. Received: '\udcff'.")


def test_of_a_long_list_the_first_lines_are_shown():
    lines = folders.shown([str(number) for number in range(50)]).splitlines()
    assert (lines[0], lines[19], lines[20:]) == ("  0", "  19", ["  … and 30 more"])
