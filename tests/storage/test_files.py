"""Tests of cnn/storage/files.py: whole files or none."""

import os

import pytest

from cnn.storage.files import whole
from tests.tiny import fresh_python


def test_a_file_appears_when_it_is_complete(tmp_path, state):
    path = tmp_path / "made" / "on the way" / "file"
    with whole(path) as file:
        file.write(b"one, ")
        file.flush()
        assert not path.exists()
        file.write(b"two")
    assert state(tmp_path) == {"made/on the way/file": b"one, two"}


def test_a_reader_sees_the_old_file_until_then(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with open(path, "rb") as reader, whole(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        inode = os.fstat(reader.fileno()).st_ino
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino != inode, "replaced, not overwritten: who has the old one open keeps it"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, state, old, error):
    path = tmp_path / "file"
    if old:
        path.write_bytes(old)
    before = state(tmp_path)
    with pytest.raises(error), whole(path) as file:
        file.write(b"half of the n")
        raise error
    assert state(tmp_path) == before


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, state):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / "file.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"), whole(path) as file:
        file.write(b"new")
    assert state(tmp_path) == {"file": b"old"}
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_run_left_is_overwritten(tmp_path, state):
    (tmp_path / "file.tmp").write_bytes(b"half a file, longer than the whole one")
    with whole(tmp_path / "file") as file:
        file.write(b"new")
    assert state(tmp_path) == {"file": b"new"}


def test_text_is_utf_8_whatever_the_locale(tmp_path):
    code = "from cnn.storage.files import whole\nwith whole('file', 'w') as file:\n    file.write('\\xe9\\u2026\\n')"
    done = fresh_python(code, cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "file").read_bytes() == "\xe9\u2026\n".encode()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_users_umask_is_respected(tmp_path, umask, mode):
    usual = os.umask(umask)
    try:
        with whole(tmp_path / "file") as file:
            file.write(b"new")
    finally:
        os.umask(usual)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_path_may_be_text(tmp_path):
    with whole(str(tmp_path / "file")) as file:
        file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
