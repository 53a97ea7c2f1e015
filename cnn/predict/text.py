"""Answers as lines: for people, as JSON, as CSV."""

import csv
import io
import json
import sys
from collections.abc import Iterable

from cnn.predict.answers import RANKS, Answer

UNFAMILIAR = "unlike what it was trained on: do not trust this answer"
INVERTED = "looks like a negative of what it was trained on: try --invert"


def write(answers: Iterable[Answer], form: str) -> int:
    """Print a line for each answer ("plain", "json" or "csv"); of a picture that cannot be read, on standard error.

    Returns the exit code: 1 where there was such a picture.
    """
    unread = 0
    if form == "csv":
        ranks = ["class,probability", *(f"class_{rank},probability_{rank}" for rank in range(2, RANKS + 1))]
        print(",".join(["picture", *ranks, "familiar,inverted"]))
    line = {"plain": plain, "json": as_json, "csv": as_csv}[form]
    for answer in answers:
        if answer.problem:
            unread += 1
            print(f"predict: {answer.picture}: {answer.problem}", file=sys.stderr)
        else:
            print(line(answer))
    sys.stdout.flush()  # a reader that went away is noticed here
    return 1 if unread else 0


def plain(answer: Answer) -> str:
    """For people: the class and how sure, the runners-up, a warning."""
    (name, probability), *others = answer.ranked
    rest = ", ".join(f"{other} {share:.1%}" for other, share in others)
    warning = "" if answer.familiar else f"   {INVERTED if answer.inverted else UNFAMILIAR}"
    return f"{answer.picture}: {name}  {probability:.1%}   ({rest}){warning}"


def as_json(answer: Answer) -> str:
    """One JSON object."""
    ranked = [{"class": name, "probability": round(probability, 6)} for name, probability in answer.ranked]
    seen = {"familiar": answer.familiar, "inverted": answer.inverted}
    return json.dumps({"picture": answer.picture} | ranked[0] | {"others": ranked[1:]} | seen)


def as_csv(answer: Answer) -> str:
    """One line of CSV; of two classes there is one runner-up, and empty cells."""
    cells = [cell for name, probability in answer.ranked for cell in (name, f"{probability:.6f}")]
    cells += [""] * (2 * RANKS - len(cells))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(
        [answer.picture, *cells, *map(_word, (answer.familiar, answer.inverted))]
    )
    return out.getvalue().removesuffix("\n")


def _word(value: bool) -> str:
    return "true" if value else "false"
