"""Arrays of one's own in one file: labels that cannot be of a data set are refused before they cost anything."""

import numpy as np
import pytest

from cnn.datasets import npz
from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal
from tests import tiny


def opened(tmp_path, labels, classes=None):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.zeros((4, 12, 12), np.uint8), y_train=labels)
    about = AboutLocal(name="own", title="", format="npz", path=str(path), classes=classes)
    return npz.opened(about, tiny.preprocess_options())


def test_numbers_are_classes(tmp_path):
    data = opened(tmp_path, np.array([0, 1, 1, 0], np.uint64))
    assert data.classes == ["0", "1"]
    assert data.parts["train"].labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.array([0, 1, 2, 10**12]), "0 to 1000000000000"),  # a list of their names would not fit into memory
        (np.array([0, 1, 2, 2**63], np.uint64), "0 to 9223372036854775808"),
        (np.array([0, 1, 2, -1]), "-1 to 2"),
    ],
)
@pytest.mark.parametrize("classes", [None, ["a", "b", "c"]])
def test_a_number_that_is_no_class_is_refused(tmp_path, labels, received, classes):
    with pytest.raises(InputError, match=f"expected y_train from 0 to 255. Received: {received}"):
        opened(tmp_path, labels, classes)


def test_two_classes_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected 2 to 256 different classes. Received: 3, 2 of them different"):
        opened(tmp_path, np.array([0, 1, 2, 0]), ["a", "a", "b"])
