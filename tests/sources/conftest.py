"""What the tests of the sources share: surroundings without mirrors and proxies, a data set to be filled."""

import gzip

import pytest
from urllib3.util import Retry

from tests.sources.toy import FILE, IMAGES, LABELS, NAMES

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch):
    """No mirror or proxy of this machine's user, and no waiting between two attempts."""
    for name in ("DATA_MIRROR", *PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Retry, "get_backoff_time", lambda self: 0)


@pytest.fixture
def raw(tmp_path):
    """A directory where the labels are right and the images are not."""
    directory = tmp_path / "raw"
    directory.mkdir()
    (directory / NAMES["train_labels"]).write_bytes(LABELS)
    (directory / FILE).write_bytes(b"something old")
    return directory


@pytest.fixture
def mirror(tmp_path):
    """A mirror that is right, as a folder: one file gzipped, one not."""
    folder = tmp_path / "my mirror #1, 100%" / "toy"
    folder.mkdir(parents=True)
    (folder / f"{FILE}.gz").write_bytes(gzip.compress(IMAGES))
    (folder / NAMES["train_labels"]).write_bytes(LABELS)
    return folder
