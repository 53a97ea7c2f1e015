"""What compare says of several results: their ranking, which cannot be told apart, and which have none."""

from collections.abc import Mapping
from typing import Any

from cnn.comparison import noise, ranking, revisions, verdict
from cnn.comparison.flat import differences
from cnn.comparison.revisions import Result
from cnn.process.errors import InputError


def several(results: list[Result], splits: list[str]) -> dict[str, Any]:
    """The rankings of several results, as JSON has them."""
    known, lack = noise.of([result.params for result in results], splits)
    tables: list[dict[str, Any]] = []
    for split in splits:
        rows = []
        for ranked in ranking.rank(results, split, known):
            keys = ("value", "low", "high")
            accuracy = {key: ranked.result.details.get((split, "accuracy"), {}).get(key) for key in keys}
            changes = {row["name"]: row["b"] for row in differences(results[0].params, ranked.result.params)}
            place = {"place": ranked.place, "p_value": ranked.p_value, "parameters": changes}
            rows.append({"name": ranked.result.name, "accuracy": accuracy, **place})
        tables.append({"split": split, "rows": rows})
    notes = [line for table in tables for line in _together(table["rows"], table["split"])]
    notes += verdict.doubts(results)
    notes += [_beyond(known, split) for split in splits] if known else [lack]
    return {"notes": notes, "rankings": tables}


def read_all(experiments: Mapping[str, str]) -> tuple[list[Result], list[str]]:
    """The results of experiments (name to commit), and a line for each that has none: a sweep stopped it early."""
    results, lacking = [], []
    for name, commit in experiments.items():
        try:
            results.append(revisions.read(name, commit))
        except InputError as error:
            lacking.append(f"Left out: {error}")
    return results, lacking


def _together(rows: list[dict[str, Any]], split: str) -> list[str]:
    """Which of a ranking's rows cannot be told apart."""
    names = [row["name"] for row in rows if row["place"] in (ranking.FIRST, ranking.TOGETHER)]
    return [f"These {len(names)} cannot be told apart on {split}: {', '.join(names)}."] * (len(names) > 1)


def _beyond(known: noise.Noise, split: str) -> str:
    """What the seed's noise does to a ranking."""
    limit = known.limit(f"{split}.accuracy")
    return f"Nor is one called worse on {split} whose accuracy is less than {limit:.4f}, the seed's noise, behind."
