"""What compare says: for a terminal, and as Markdown."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import quote

from checks.words import class_name, columns
from cnn.comparison import ranking, verdict

SHOWN = 20  # images that changed sides, each way; --json has all
FOLDED = 10  # rows of a table in Markdown; a longer one is folded
TEST_IS_HIDDEN = (
    "The test images are not shown: they are for the final number, and stop being unseen once they decide. Choose by "
    "validation, then look once with --test."
)
TEST_IS_SHOWN = "The test images are for the final number: what they decide, they can no longer estimate."


class Table(NamedTuple):
    """A table under a title; `words`: which columns hold what a person or the data set named."""

    title: str
    header: list[str]
    rows: list[list[str]]
    words: frozenset[int] = frozenset()


Block = Table | str


def text(report: dict[str, Any], markdown: bool, pictures: str | None = None) -> str:
    """The report for people. pictures: see `compare --help`."""
    blocks = list(_ranking(report) if "rankings" in report else _pair(report))
    if not markdown:
        return "\n\n".join(plain(block) for block in blocks)
    blocks += list(_pictures(report, pictures)) if pictures else []
    title = f"### {_verdict(report['splits'][0])}\n\n" if "splits" in report else ""
    return title + "\n\n".join(_inert(block) if isinstance(block, str) else _markdown(block) for block in blocks) + "\n"


def _pair(report: dict[str, Any]) -> Iterator[Block]:
    yield f"A: {report['a']}\nB: {report['b']}"
    if report["parameters"]:
        rows = [[row["name"], _value(row["a"]), _value(row["b"])] for row in report["parameters"]]
        yield Table("Parameters that differ", ["", "A", "B"], rows, frozenset({0, 1, 2}))
    else:
        yield "No parameter differs."
    if report["inputs"]:
        yield f"Code and data that differ: {', '.join(report['inputs'])}"
    for one in report["splits"]:
        yield from _split(one)
    if report["pictures"]:
        yield f"Pictures that differ: {', '.join(report['pictures'])}"
    yield from report["notes"]
    yield TEST_IS_SHOWN if len(report["splits"]) > 1 else TEST_IS_HIDDEN


def _split(one: dict[str, Any]) -> Iterator[Block]:
    if one["metrics"]:
        rows = [
            [
                row["metric"].replace("_", " "),
                *(f"{row[x]:.4f} [{row[f'{x}_low']:.4f}, {row[f'{x}_high']:.4f}]" for x in "ab"),
                f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]",
            ]
            for row in one["metrics"]
        ]
        title = f"{one['split']}, {one['n']:,} images, with 95 % intervals"
        yield Table(title, ["", "A", "B", "B - A, paired"], rows)
    for gained, name in ((False, "lost: only A is right"), (True, "gained: only B is right")):
        images = [row for row in one["changed"] if row["gained"] == gained]
        rows = [
            [str(row["index"]), row["image"], *(class_name(row[name]) for name in ("actual", "a", "b"))]
            for row in images[:SHOWN]
        ]
        title = f"{one['split']}, {name}" + (f" ({SHOWN} of {len(images):,})" if len(images) > SHOWN else "")
        if rows:
            yield Table(title, ["index", "image", "is", "A says", "B says"], rows, frozenset({2, 3, 4}))
    yield _verdict(one) + f"\n{one['reason']}" * bool(one["reason"])


def _verdict(one: dict[str, Any]) -> str:
    words = {verdict.BETTER: "B is better", verdict.WORSE: "B is worse"}.get(one["verdict"], one["verdict"])
    return f"Verdict on {one['split']}: {words}."


def _ranking(report: dict[str, Any]) -> Iterator[Block]:
    for one in report["rankings"]:
        rows = []
        for row in one["rows"]:
            accuracy, low, high = row["accuracy"].values()
            shown = "" if accuracy is None else f"{accuracy:.4f} [{low:.4f}, {high:.4f}]"
            p_value = f"{row['p_value']:.2g}" if row["place"] in (ranking.WORSE, ranking.TOGETHER) else ""
            changes = ", ".join(f"{name}={_value(value)}" for name, value in row["parameters"].items())
            rows.append([row["name"], shown, p_value, row["place"], changes])
        header = ["", "accuracy, 95 %", "p (Holm)", "", "its parameters"]
        yield Table(f"Ranking on {one['split']}", header, rows, frozenset({0, 4}))
    yield "p: McNemar's exact test against the first one, corrected for all pairs (Holm), since the first was chosen."
    yield from report["notes"]
    yield TEST_IS_SHOWN if len(report["rankings"]) > 1 else TEST_IS_HIDDEN


def _value(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def plain(block: Block) -> str:
    """Columns side by side."""
    if isinstance(block, str):
        return block
    rows = [block.header, *block.rows]
    widths = [max(columns(row[column]) for row in rows) for column in range(len(block.header))]
    lines = [
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([block.title, *(f"  {line}" for line in lines)])


def _markdown(block: Table) -> str:
    """A table of Markdown."""
    rows = [[_code(cell) if column in block.words else cell for column, cell in enumerate(row)] for row in block.rows]
    lines = [" | ".join(row) for row in [block.header, ["---"] * len(block.header), *rows]]
    table = "\n".join(f"| {line} |" for line in lines)
    if len(block.rows) > FOLDED:
        return f"<details><summary>{block.title}</summary>\n\n{table}\n\n</details>"
    return f"**{_inert(block.title)}**\n\n{table}"


def _code(word: str) -> str:
    """A word as code: no markup, link or mention in it counts."""
    return "`" + re.sub(r"[\r\n]", " ", word.replace("`", "'").replace("|", "\\|")) + "`" if word else ""


def _inert(text: str) -> str:
    """A sentence that may quote a branch or a file: only backticks count in it. An invisible space ends a mention."""
    return re.sub(r"([\\<>\[\]!*_~#|&])", r"\\\1", text).replace("@", "@\u200b")


def _pictures(report: dict[str, Any], address: str) -> Iterator[Table]:
    """The pictures that differ, side by side."""
    for path in report.get("pictures", []) if all(report.get("commits", [])) else []:
        addresses = [f"{address}/{commit}/{quote(path)}" for commit in report["commits"]]
        cells = [f"![{side}]({address})" for side, address in zip("AB", addresses, strict=True)]
        yield Table(PurePath(path).stem.replace("_", " "), ["A", "B"], [cells])
