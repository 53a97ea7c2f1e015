"""Which of several results is best, and which cannot be told apart from it?"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from cnn.comparison.noise import Noise
from cnn.comparison.paired import LEVEL, Paired, holm
from cnn.comparison.revisions import Result
from cnn.comparison.verdict import KEYS, NOT_COMPARABLE, keyed, why_not

FIRST, WORSE, TOGETHER = "first", "worse than the first", "not told apart from the first"


class Ranked(NamedTuple):
    """A result's place. p_value: of the difference from the first one, corrected for all pairs; 1 for the first."""

    result: Result
    place: str
    p_value: float


def rank(results: list[Result], split: str = "validation", noise: Noise | None = None) -> list[Ranked]:
    """Rank results by accuracy (then loss) on a split; at the end those that have other images than the first named.

    The first one is chosen by looking at all, so p-values are corrected for all pairs, by Holm's method: among results
    that are equally good, one is called worse in at most 5 of 100 such rankings.
    """
    tables = [keyed(result, split) for result in results]
    reasons = [
        why_not(results[0], result, tables[0], table, split) for result, table in zip(results, tables, strict=True)
    ]
    comparable = [index for index, reason in enumerate(reasons) if not reason]
    order = sorted(comparable, key=lambda index: _quality(results[index], split))
    right = {}
    for index in order:
        table = tables[index].sort_values(KEYS)
        right[index] = (table["actual"] == table["predicted"]).to_numpy()
    pairs = {(one, other): _paired(right[one], right[other]) for one, other in combinations(order, 2)}
    corrected = dict(zip(pairs, holm([pair.p_value() for pair in pairs.values()]), strict=True))
    limit = noise.limit(f"{split}.accuracy") if noise else 0.0
    ranked = [Ranked(results[index], FIRST, 1.0) for index in order[:1]]
    for index in order[1:]:
        pair = (order[0], index)
        worse = corrected[pair] < LEVEL and pairs[pair].difference < 0 and -pairs[pair].difference >= limit
        ranked.append(Ranked(results[index], WORSE if worse else TOGETHER, corrected[pair]))
    others = [(result, reason) for result, reason in zip(results, reasons, strict=True) if reason]
    return ranked + [Ranked(result, f"{NOT_COMPARABLE}: {reason}", 1.0) for result, reason in others]


def _quality(result: Result, split: str) -> tuple[float, float]:
    return -result.details[split, "accuracy"]["value"], result.details[split, "loss"]["value"]


def _paired(first: np.ndarray, second: np.ndarray) -> Paired:
    return Paired(len(first), int((second & ~first).sum()), int((first & ~second).sum()))
