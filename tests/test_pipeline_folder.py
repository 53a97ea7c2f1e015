"""A folder of pictures under real DVC: what notices a change, where it is taken from, and what verify says of it."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from tests import tiny
from tests.test_pipeline import copy_of_the_project

pytestmark = pytest.mark.slow

CLASSES = ("lying", "standing", "leaning")
ENDINGS = ("png", "bmp", "tif", "webp")


def draw(root, count, seed):
    """Pictures of bars of several formats, sizes and modes."""
    images, labels = tiny.bars(count, seed)
    for number, (image, label) in enumerate(zip(images[..., 0], labels, strict=True)):
        path = root / CLASSES[label] / f"{number:04}.{ENDINGS[number % len(ENDINGS)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image).convert(("L", "RGB")[number % 2])
        if number % 3 == 0:
            picture = picture.resize((24, 30), Image.Resampling.NEAREST)
        picture.save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, committed, that has run once on a folder of pictures with a test set."""
    project = copy_of_the_project(tmp_path_factory.mktemp("folder"))
    pets = project.folder / "data/local/pets"
    draw(pets / "train", 120, seed=1)
    draw(pets / "test", 30, seed=2)
    project.run("python", "-m", "checks.dataset", "pets")
    project.set(download={"dataset": "pets"}, preprocess={"fit": "stretch"})
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    project.ran = project.repro()
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=result")
    return project


@pytest.fixture
def pets(project):
    """The folder, and the project back at its commit after the test."""
    folder = project.folder / "data/local/pets"
    shutil.copytree(folder, kept := project.folder.parent / "kept")
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)
    project.run("git", "reset", "--quiet", "--hard")
    project.run("git", "clean", "--quiet", "-fd")
    project.run("dvc", "checkout", "--quiet")


def test_a_folder_is_trained_on_and_measured_with_its_class_names(project):
    assert project.ran == ["download", "preprocess", "train", "evaluate"]
    summary = json.loads(project.read("data/processed/summary.json"))
    assert (summary["classes"], summary["shape"]) == (sorted(CLASSES), list(tiny.SHAPE))
    assert [summary[split]["images"] for split in ("train", "validation", "test")] == [96, 24, 30]
    assert b"leaning" in project.read("metrics/classes.csv")
    assert project.run("git", "status", "--porcelain") == ""


def test_a_second_run_reads_nothing_again(project):
    assert project.repro() == []


def change(pets):
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(pets / "train/lying/0000.png")


def add(pets):
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(pets / "train/lying/new.png")


def remove(pets):
    (pets / "train/lying/0000.png").unlink()


def rename(pets):
    (pets / "train/lying/0000.png").rename(pets / "train/leaning/zzz.png")


@pytest.mark.parametrize("touch", [change, add, remove, rename])
def test_a_changed_folder_is_noticed(project, pets, touch):
    touch(pets)
    assert re.search(r"preprocess:\s+changed deps:\s+modified: +data/local/pets", project.run("dvc", "status"))
    if touch is remove:
        assert project.repro() == ["preprocess", "train", "evaluate"]
        assert json.loads(project.read("data/processed/summary.json"))["train"]["images"] == 95


def test_another_folder_beside_it_is_not_its_business(project, pets):
    draw(pets.parent / "others", 9, seed=3)
    assert project.repro() == []
    shutil.rmtree(pets.parent / "others")


def test_an_experiment_goes_to_a_published_data_set_and_back(project, pets):
    project.run("dvc", "exp", "run", "--quiet", "-S", "download.dataset=bars")
    assert json.loads(project.read("data/processed/summary.json"))["dataset"] == "bars"
    project.run("git", "checkout", "--quiet", ".")
    assert project.repro() == [], "from the cache"


def test_an_unreadable_picture_is_one_clear_error_without_a_traceback(project, pets):
    (pets / "train/lying/0000.png").write_bytes(b"")
    said = project.run("dvc", "repro", status=255)
    assert "'train/lying/0000.png': the file is empty" in said
    assert "Traceback" not in said
    assert list((project.folder / "data/processed").glob("*")) == []


def test_a_folder_that_is_not_there_is_told_by_verify(project, pets):
    pets.rename(pets.parent / "away")
    said = project.run("python", "-m", "checks.verify", status=1)
    assert "data/local/pets: expected the images that the revision was made of. Received: none." in said
    (pets.parent / "away").rename(pets)


def test_verify_names_a_folder_that_is_not_the_committed_one(project, pets):
    change(pets)
    said = project.run("python", "-m", "checks.verify", status=1)
    assert re.search(r"preprocess +data/local/pets .* DIFFERS$", said, re.MULTILINE)
    assert "NOT verified" in said


def test_a_versioned_folder_is_pulled_elsewhere_and_verified_there(project, pets, tmp_path):
    """As docs/own-images.md has it; an experiment in a temporary copy finds it too."""
    project.run("dvc", "add", "--quiet", "data/local/pets")
    project.run("dvc", "remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage"))
    (added,) = re.findall(r"^(git add .*)$", (tiny.ROOT / "docs/own-images.md").read_text(), re.MULTILINE)
    project.run(*added.split())
    status = project.run("git", "status", "--porcelain")
    assert "A  data/local/pets.dvc" in status
    assert not re.search(r"^.[^ ]", status, re.MULTILINE), "nothing is left to be added"
    assert project.repro() == []
    project.run("git", "commit", "--quiet", "--message=versioned")
    project.run("dvc", "push", "--quiet")
    home = project.folder
    try:
        project.run("git", "clone", "--quiet", ".", str(tmp_path / "elsewhere"))
        project.folder = tmp_path / "elsewhere"
        project.run("dvc", "pull", "--quiet")
        assert project.repro() == []
        said = project.run("python", "-m", "checks.verify")
        assert re.search(r"preprocess +data/local/pets .* equal$", said, re.MULTILINE)
        assert "bit for bit" in said
    finally:
        project.folder = home
    assert "Ran experiment" in project.run("dvc", "exp", "run", "--temp", "-S", "evaluate.batch_size=17")
    add(pets)
    assert project.repro() == ["preprocess", "train", "evaluate"]
    assert "data/local/pets.dvc" in project.run("git", "status", "--porcelain"), "its new version"
    project.run("git", "reset", "--quiet", "--hard", "HEAD~1")


def test_the_docs_entry_of_a_file_of_arrays_is_valid_and_trained_on(project, pets):
    page = (tiny.ROOT / "docs/own-images.md").read_text()
    (entry,) = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    entry = {"arrays": entry["pets"] | {"path": "data/local/arrays/a.npz", "classes": list(CLASSES)}}
    with open(project.folder / "data/sources.yaml", "a") as catalogue:
        catalogue.write("\n" + yaml.safe_dump(entry))
    images, labels = tiny.bars(120, seed=5)
    (pets.parent / "arrays").mkdir()
    np.savez(pets.parent / "arrays/a.npz", x_train=images, y_train=labels)
    project.set(download={"dataset": "arrays"})
    assert project.repro() == ["download", "preprocess", "train", "evaluate"]
    assert json.loads(project.read("data/processed/summary.json"))["classes"] == list(CLASSES)
