"""Tests of cnn/sources/pins.py: a hash that nobody has published is pinned once, and held from then on."""

import gzip
import hashlib

import pytest
import yaml

from checks import pins as checked
from cnn.process.errors import InputError
from cnn.sources import pins
from cnn.sources.raw import fill
from tests.sources.toy import FILE, IMAGES, LABELS, NAMES, complete, entry, paths, respond, source

SHA256 = hashlib.sha256(IMAGES).hexdigest()
EMPTY = f"{pins.HEAD}{{}}\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project where nothing is pinned yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pins.yaml").write_text(EMPTY)
    return tmp_path


def unpinned(*mirrors, **image_keys):
    """The toy, of whose images nobody has published the hash."""
    images = entry(FILE, IMAGES) | {"sha256": "pin"} | image_keys
    return source(*mirrors, files={"train_images": images, "train_labels": entry(NAMES["train_labels"], LABELS)})


def pinned(project):
    return yaml.safe_load((project / "data/pins.yaml").read_text())


def test_the_first_download_pins_loudly_and_in_order(project, mirror, raw, state, capsys):
    (project / "data/pins.yaml").write_text(f"zebra: {{b: {SHA256}}}\n")
    fill("toy", unpinned(mirror.as_uri()), raw)
    assert state(raw) == complete()
    text = (project / "data/pins.yaml").read_text()
    assert text == f"{pins.HEAD}toy:\n  {FILE}: {SHA256}\nzebra:\n  b: {SHA256}\n"
    said = capsys.readouterr().err
    assert f"PINNED in data/pins.yaml, from {mirror.as_uri()}/{FILE}.gz (nobody vouches):" in said
    assert f"{FILE}  sha256 {SHA256}" in said
    assert "git add data/pins.yaml" in said
    assert NAMES["train_labels"] not in said, "whose hash the catalogue gives"


def test_what_is_pinned_is_neither_fetched_nor_pinned_again(project, mirror, raw, serve, capsys):
    fill("toy", unpinned(mirror.as_uri()), raw)
    before = (project / "data/pins.yaml").stat()
    capsys.readouterr()
    url, asked = serve(respond(status=500))
    fill("toy", unpinned(url), raw)
    assert (asked, capsys.readouterr().err) == ([], "")
    after = (project / "data/pins.yaml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_content_than_the_pinned_one_is_refused_until_it_is_pinned_anew(project, mirror, raw, serve, state):
    fill("toy", unpinned(mirror.as_uri()), raw)
    (raw / FILE).unlink()
    before, other = state(raw), IMAGES[::-1]
    url, _ = serve(respond(other))
    with pytest.raises(InputError) as error:
        fill("toy", unpinned(url), raw)
    assert f"expected sha256 {SHA256[:12]}… of 76,800 bytes. Received:" in str(error.value)
    assert "To pin what there is now, on purpose, delete toy there and run again." in str(error.value)
    assert (state(raw), pinned(project)) == (before, {"toy": {FILE: SHA256}})
    (project / "data/pins.yaml").write_text(EMPTY)
    fill("toy", unpinned(url), raw)
    assert pinned(project) == {"toy": {FILE: hashlib.sha256(other).hexdigest()}}


def test_a_file_that_lies_there_is_not_pinned_unseen(project, raw, mirror, state):
    (raw / FILE).write_bytes(IMAGES[::-1])  # of the right size
    fill("toy", unpinned(mirror.as_uri()), raw)
    assert (state(raw), pinned(project)) == (complete(), {"toy": {FILE: SHA256}})


@pytest.mark.parametrize(
    ("content", "reason"),
    [(IMAGES + b".", "expected 76,800 bytes. Received: more"), (b"<p>", "expected 76,800 bytes. Received: 3 bytes")],
)
def test_nothing_of_another_size_is_pinned(project, raw, serve, state, content, reason):
    before = state(raw)
    with pytest.raises(InputError) as error:
        fill("toy", unpinned(serve(respond(content))[0]), raw)
    assert str(error.value).count(reason) == 2
    assert (state(raw), (project / "data/pins.yaml").read_text()) == (before, EMPTY)


def test_nothing_is_pinned_where_another_file_cannot_be_had(project, raw, serve):
    (raw / NAMES["train_labels"]).unlink()
    with pytest.raises(InputError, match="could not get train-labels"):
        fill("toy", unpinned(serve(paths({f"/{FILE}": IMAGES}))[0]), raw)
    assert (project / "data/pins.yaml").read_text() == EMPTY


def test_the_hash_of_the_gzipped_file_vouches_for_the_content(project, raw, serve, capsys):
    packed, others = gzip.compress(IMAGES, 9, mtime=0), gzip.compress(IMAGES, 1, mtime=0)
    known = hashlib.sha256(packed).hexdigest()
    bad, asked = serve(paths({f"/{FILE}.gz": others, f"/{FILE}": IMAGES}))
    with pytest.raises(InputError) as error:
        fill("toy", unpinned(bad, gz_sha256=known), raw)
    received = hashlib.sha256(others).hexdigest()[:12]
    assert f"expected sha256 {known[:12]}… of the gzipped file. Received: {received}…" in str(error.value)
    assert asked == [f"/{FILE}.gz"], "nothing vouches for the plain file"
    fill("toy", unpinned(bad, serve(respond(packed))[0], gz_sha256=known), raw)
    assert "its gzipped file has the hash that the catalogue gives" in capsys.readouterr().err
    (raw / FILE).unlink()
    fill("toy", unpinned(bad, gz_sha256=known), raw)  # what is pinned may be packed otherwise
    assert pinned(project) == {"toy": {FILE: SHA256}}


@pytest.mark.parametrize("content", ["toy: 5\n", "toy: {a: abc}\n", f"toy: {{a: {SHA256}, a: {SHA256}}}\n", "- toy\n"])
def test_damaged_pins_are_refused_before_anything_is_fetched(project, raw, serve, content):
    (project / "data/pins.yaml").write_text(content)
    url, asked = serve(respond(IMAGES))
    with pytest.raises(InputError, match=r"^data/pins\.yaml"):
        fill("toy", unpinned(url), raw)
    assert asked == []


def test_a_revision_without_its_pins_is_named(project, mirror, raw):
    catalogue = {"toy": unpinned(mirror.as_uri()).model_dump(exclude_none=True)}
    (project / "data/sources.yaml").write_text(yaml.safe_dump(catalogue))
    (project / "params.yaml").write_text("download: {dataset: toy}\n")
    (line,) = checked.missing(project)
    assert line.startswith(f"data/pins.yaml: expected the hash of {FILE} of toy. Received: none.")
    fill("toy", unpinned(mirror.as_uri()), raw)
    assert checked.missing(project) == []
