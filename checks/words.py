"""Words of a data set in the tables of a terminal."""

from unicodedata import combining, east_asian_width

LONGEST = 24  # characters of a class's name


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian characters and most emoji take two, accents none."""
    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def class_name(name: str) -> str:
    """The name of a class in one short line: the middle of a long one left out, what cannot be printed escaped."""
    line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[1 - LONGEST // 2 :]}"
