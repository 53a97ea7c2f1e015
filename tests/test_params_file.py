"""params.yaml and the recipes survive DVC: setting a value changes its line, and no other."""

import difflib

import pytest
import yaml
from dvc.utils.hydra import apply_overrides  # what `dvc exp run -S` calls

from cnn.settings.params import load_params
from tests import tiny

FILES = [tiny.ROOT / "params.yaml", *sorted((tiny.ROOT / "recipes").glob("*.yaml"))]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def scalars(document, prefix=""):
    """Dotted key and value of every scalar."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from scalars(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def other(value):
    """Another value of the same type; a float as small as DVC writes in YAML 1.2's way."""
    return {bool: lambda: str(not value).lower(), int: lambda: value + 1, float: lambda: 0.00003, str: lambda: "x"}[
        type(value)
    ]()


def changed_lines(before, after):
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [[line[1:] for line in lines if line[0] == sign] for sign in "-+"]


@pytest.fixture
def copy(tmp_path):
    """A function: copy a file to a folder of its own as params.yaml, and return the path and its text."""

    def make(path):
        target = tmp_path / "params.yaml"
        target.write_text(path.read_text())
        return target, target.read_text()

    return make


@every_file
def test_no_list_is_in_the_file(path):
    assert not [key for key, value in scalars(yaml.safe_load(path.read_text())) if isinstance(value, list)]


@every_file
def test_setting_any_scalar_changes_exactly_its_line(copy, path):
    for key, value in scalars(yaml.safe_load(path.read_text())):
        target, before = copy(path)
        apply_overrides(target, [f"{key}={other(value)}"])
        removed, added = changed_lines(before, target.read_text())
        assert len(removed) == len(added) == 1, key
        last = key.rpartition(".")[2]
        assert removed[0].partition(f"{last}:")[0] == added[0].partition(f"{last}:")[0], key


@every_file
def test_a_small_number_is_read_as_dvc_writes_it(copy, path):
    target, _ = copy(path)
    apply_overrides(target, ["train.learning_rate=0.00003"])
    assert "learning_rate: 3e-05" in target.read_text()
    assert load_params(target).train.learning_rate == 0.00003


def test_a_row_is_added_and_taken_away(copy):
    target, before = copy(tiny.TUTORIAL)
    apply_overrides(target, ["+model.blocks.conv4={filters: 96, kernel_size: 3, stride: 1, pool_size: 1}"])
    assert list(load_params(target).model.blocks) == ["conv1", "conv2", "conv3", "conv4"]
    target.write_text(before)
    apply_overrides(target, ["~model.blocks.conv3"])
    removed, added = changed_lines(before, target.read_text())
    assert ([line.split(":")[0].strip() for line in removed], added) == (["conv3"], [])
    assert list(load_params(target).model.blocks) == ["conv1", "conv2"]
