"""Tests of checks/dataset.py: what a folder of pictures holds, and its entry in the catalogue."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from checks import dataset
from cnn.process.errors import InputError
from cnn.settings import catalogue, params
from tests import tiny


def noise(seed, height=40, width=30, mode="RGB"):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).convert(mode)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with pictures of cats and dogs in data/local/pets."""
    for number in range(4):
        for name in ("cat", "dog"):
            path = tmp_path / "data/local/pets" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise((number, name == "cat"), height=30 + 10 * number).save(path)
    (tmp_path / "data/sources.yaml").write_bytes((tiny.ROOT / "data/sources.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def look(monkeypatch, capsys):
    """A function: run the program for the folder of a name, and return what it printed."""

    def run(name="pets"):
        monkeypatch.setattr(sys, "argv", ["dataset", name])
        dataset.main()
        return capsys.readouterr().out

    return run


def test_what_was_found_is_printed_with_the_command_that_trains_on_it(project, look):
    (project / "data/local/pets/cat/Thumbs.db").touch()
    noise(9, mode="L").save(project / "data/local/pets/dog/grey.jpg")
    assert look().splitlines() == [
        "data/local/pets: 9 pictures, 2 classes",
        "  train: 'cat' 4, 'dog' 5",
        "  height: 30 to 60 pixels, median 40",
        "  width: 30 to 30 pixels, median 30",
        "  modes: RGB 8, L 1",
        "  ignored: 1 Thumbs.db",
        "",
        "data/sources.yaml: pets added. To train on it:",
        "",
        "dvc exp run -S download.dataset=pets -S preprocess.image.height=40 -S preprocess.image.width=30 "
        "-S preprocess.image.channels=3",
    ]


def test_the_settings_printed_are_valid(project, look, tmp_path):
    from dvc.utils.hydra import apply_overrides

    settings = look().splitlines()[-1].removeprefix("dvc exp run -S ").split(" -S ")
    (tmp_path / "params.yaml").write_text(tiny.TUTORIAL.read_text())
    apply_overrides(tmp_path / "params.yaml", settings)
    loaded = params.load_params("params.yaml")
    assert (loaded.download.dataset, loaded.preprocess.image.shape) == ("pets", (45, 30, 3))


def test_the_entry_is_appended_once_and_the_rest_of_the_catalogue_stays(project, look):
    before = (project / "data/sources.yaml").read_text()
    look()
    after = (project / "data/sources.yaml").read_text()
    assert after == before + "\npets:\n  format: folder\n  path: data/local/pets\n"
    assert catalogue.load_catalogue()["pets"].format == "folder"
    assert "pets is there already" in look()
    assert (project / "data/sources.yaml").read_text() == after


def test_large_pictures_are_suggested_smaller_and_grey_ones_grey(project, look):
    for path in (project / "data/local/pets").rglob("*.png"):
        noise(path.name.encode()[0], 300, 200, "L").save(path)
    assert (
        look()
        .rstrip()
        .endswith("preprocess.image.height=64 -S preprocess.image.width=64 -S preprocess.image.channels=1")
    )


def test_unreadable_pictures_are_listed(project, look):
    (project / "data/local/pets/cat/0.png").write_bytes(b"")
    said = look()
    assert "cannot be read: 1; mend or remove them, or raise preprocess.unreadable_share\n" in said
    assert "  'cat/0.png': the file is empty\n" in said


def test_equal_pictures_are_counted_and_dropping_them_is_suggested_where_that_helps(project, look):
    noise((0, True), height=30).save(project / "data/local/pets/dog/a-cat.bmp")
    said = look()
    assert "equal to another one: 2 pictures, 2 of them in another class\n" in said
    assert "duplicates=drop" not in said
    pets = project / "data/local/pets"
    pets.rename(project / "data/local/train")
    pets.mkdir()
    (project / "data/local/train").rename(pets / "train")
    for name in ("cat", "dog"):
        (pets / "test" / name).mkdir(parents=True)
        noise((0, name == "cat"), height=30).save(pets / "test" / name / "again.png")
    said = look()
    assert "equal to another one: 5 pictures, 3 of them in another class, 5 of them in another part\n" in said
    assert said.rstrip().endswith("-S preprocess.duplicates=drop")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "data/local/none: expected a folder of pictures. Received: none."),
        ("../local/pets", "expected a name of letters, digits"),
        ("2024-05-01", "none that YAML reads as a number, a date or the like. Received: '2024-05-01'."),
        ("1e3", "Received: '1e3'. As in `make dataset NAME=pets`."),
        ("null", "Received: 'null'."),
        ("mnist", "expected a new name. Received: mnist, which is a data set of another format."),
    ],
)
def test_other_names_are_refused_and_the_catalogue_stays(project, look, name, said):
    (project / "data/local/mnist").symlink_to("pets")
    before = (project / "data/sources.yaml").read_bytes()
    with pytest.raises(InputError) as error:
        look(name)
    assert said in str(error.value)
    assert (project / "data/sources.yaml").read_bytes() == before


def test_the_program_reads_in_processes_and_ends_with_a_line(project):
    for number in range(150):
        noise((7, number), 8, 8).save(project / f"data/local/pets/cat/more-{number}.png")
    program = "import runpy, sys; sys.argv[1:] = ['{}']; runpy.run_module('checks.dataset', run_name='__main__')"
    done = tiny.fresh_python(program.format("none"), cwd=project)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    command = [sys.executable, "-m", "checks.dataset", "pets"]
    done = subprocess.run(command, cwd=project, env=tiny.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "158 pictures" in done.stdout
