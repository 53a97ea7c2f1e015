"""Tests of cnn/settings/strict_yaml.py: YAML 1.2's scalars, and no key twice."""

import datetime
import io
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cnn.process.errors import InputError
from cnn.settings.strict_yaml import load_yaml


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load a text, or bytes, as a file called file.yaml: (document, faults)."""
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"

    def write_and_load(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_yaml(path)

    write_and_load.path = path
    return write_and_load


SCALARS = {
    # floats that YAML 1.1 takes for text
    "3e-05": 3e-05,
    "1e-3": 0.001,
    "1e5": 100000.0,
    "-2E+3": -2000.0,
    "5.": 5.0,
    ".5": 0.5,
    "+.5e1": 5.0,
    "12.E-1": 1.2,
    "0.0": 0.0,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "+.Inf": math.inf,
    # integers that it takes for others
    "010": 10,
    "-007": -7,
    "0o17": 15,
    "0x1F": 31,
    "+12": 12,
    "0": 0,
    # and what it takes for integers
    "1_000": "1_000",
    "1:30": "1:30",
    "0b11": "0b11",
    "-0x1F": "-0x1F",
    "0o18": "0o18",
    "1_0.5": "1_0.5",
    "190:20:30.15": "190:20:30.15",
    # words
    "yes": "yes",
    "Yes": "Yes",
    "no": "no",
    "NO": "NO",
    "on": "on",
    "off": "off",
    "y": "y",
    "n": "n",
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "tRUE": "tRUE",
    "inf": "inf",
    "nan": "nan",
    "null": None,
    "~": None,
    "": None,
    # no numbers
    "e5": "e5",
    "1e": "1e",
    "1e5.0": "1e5.0",
    ".": ".",
    "+": "+",
    "1.2.3": "1.2.3",
    "1 2": "1 2",
    # quoted: text
    "'5'": "5",
    '"1e-3"': "1e-3",
    "'true'": "true",
    # as PyYAML has them
    "2026-01-31": datetime.date(2026, 1, 31),
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_a_scalar_is_what_yaml_1_2_says(load, text, value):
    document, faults = load(f"key: {text}\nlist: [{text}]\n")
    assert document == {"key": value, "list": [] if text == "" else [value]}
    assert (type(document["key"]), faults) == (type(value), [])


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_is_a_float(load, text):
    assert math.isnan(load(f"key: {text}")[0]["key"])


@pytest.mark.parametrize(("text", "key"), [("no: 1", "no"), ("010: 1", 10), ("1e1: 1", 10.0), ("true: 1", True)])
def test_keys_are_read_like_values(load, text, key):
    ((found, _),) = load(text)[0].items()
    assert (found, type(found)) == (key, type(key))


def dumped(value):
    """What DVC's own YAML library writes for a value."""
    text = io.StringIO()
    YAML().dump({"key": value}, text)
    return text.getvalue()


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_that_dvc_writes_is_read_back(load, value):
    found = load(dumped(value))[0]["key"]
    assert isinstance(found, float)
    assert struct.pack(">d", found) == struct.pack(">d", value), "all bits, the sign of zero as well"


@given(value=st.integers() | st.integers(-(10**40), 10**40))
def test_every_integer_that_dvc_writes_is_read_back(load, value):
    found = load(dumped(value))[0]["key"]
    assert (found, type(found)) == (value, int)


# -- what is refused --


def test_a_key_that_stands_twice_is_a_fault_and_named_with_its_lines(load):
    document, faults = load("a: 1\nb: {c: 1, d: 2,\n  c: 3}\na: 4\n")
    assert document == {"a": 4, "b": {"c": 3, "d": 2}}
    assert faults == [
        "a: the key stands twice, in lines 1 and 4: keep one.",
        "c: the key stands twice, in lines 2 and 3: keep one.",
    ]


def test_keys_that_are_equal_numbers_are_one_key(load):
    assert load("10: a\n010: b\n")[1] == ["10: the key stands twice, in lines 1 and 2: keep one."]


def test_merge_keys_work_and_their_keys_may_be_overridden(load):
    text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\none:\n  <<: *base\n  b: 5\ntwo:\n  <<: [*base, *more]\n"
    document, faults = load(text)
    assert (document["one"], document["two"], faults) == ({"a": 1, "b": 5}, {"a": 1, "b": 2, "c": 3}, [])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "{path}: expected keys with values. Received: None."),
        ("[1, 2]", "{path}: expected keys with values. Received: [1, 2]."),
        ("3e-05", "{path}: expected keys with values. Received: 3e-05."),
        (
            "a: [",
            "{path} is not YAML: while parsing a flow node expected the node content, but found '<stream end>' "
            'in "<unicode string>", line 1, column 5: a: [ ^',
        ),
        (b"seed: \xff", "{path} is not UTF-8 text: invalid start byte at byte 6."),
    ],
)
def test_what_is_no_mapping_in_yaml_is_refused(load, content, error):
    with pytest.raises(InputError) as caught:
        load(content)
    assert str(caught.value) == error.format(path=load.path)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 42\0",
        "seed: 2020-13-45",  # YAML takes it for a date
        "seed: !!bool maybe",
        "seed: !!int 0b11",
        "seed: !!timestamp tomorrow",
        "seed: !!python/object/apply:os.getcwd []",
        "seed: " + "9" * 5000,  # more digits than Python turns into an integer
        "seed: " + "[" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_what_breaks_the_yaml_reader_is_refused_as_well(load, text):
    with pytest.raises(InputError, match="file.yaml is not YAML"):
        load(text)


def test_a_missing_file_is_named_with_the_directory_it_was_expected_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_yaml("params.yaml")
    assert str(caught.value) == f"expected the file params.yaml in {tmp_path}: run from the project's root."
