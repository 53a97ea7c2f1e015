"""Names of classes in tables: short, in one line, and as wide as a terminal shows them."""

import pytest

from checks import compare_text, words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ankle boot", "Ankle boot"),
        ("猫", "猫"),
        ("two\nlines\t", r"two\nlines\t"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202eback", r"\u202eback"),
        ("n02085620-Chihuahua-of-the-hills", "n02085620-Ch…f-the-hills"),
    ],
)
def test_a_name_is_one_short_line(name, shown):
    assert words.class_name(name) == shown


def test_columns_are_even_whatever_the_script():
    names = ["猫の写真", "cat 🐱", "e\u0301te\u0301", "b" * 255]
    rows = [[words.class_name(name), "|"] for name in names]
    lines = compare_text.plain(compare_text.Table("", ["is", "|"], rows)).splitlines()[1:]
    assert {words.columns(line.partition("|")[0]) for line in lines} == {2 + words.LONGEST + 2}
