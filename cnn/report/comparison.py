"""What the page shows of a comparison with another revision."""

from dataclasses import dataclass
from typing import Any

from cnn.comparison import noise, revisions, verdict
from cnn.comparison.flat import differences

SPLIT = "validation"  # which decides


@dataclass(frozen=True)
class Compared:
    """This result against that of the revision `base`.

    said: the verdict on it; parameters: name, a (the base's value), b (this one's) of those that differ; notes: what
    makes it doubtful; changes: the images that changed sides, as `verdict.Comparison.changed` has them.
    """

    base: str
    said: verdict.Comparison
    parameters: list[dict[str, Any]]
    notes: list[str]
    changes: list[dict[str, Any]]


def comparison_of(base: str | None) -> Compared | None:
    """This result against the revision `base`; None where no base is given. Raises InputError."""
    if base is None:
        return None
    a, b = revisions.read(base), revisions.read()
    known, lack = noise.of([a.params, b.params], [SPLIT])
    said = verdict.compare(a, b, SPLIT, known)
    notes = verdict.doubts([a, b]) + [lack] * bool(lack)
    changes = [{str(name): value for name, value in row.items()} for row in said.changed.to_dict("records")]
    return Compared(a.name, said, differences(a.params, b.params), notes, changes)
