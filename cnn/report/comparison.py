"""What the page shows of a comparison with another revision."""

from dataclasses import dataclass
from typing import Any

from cnn.process.errors import InputError


@dataclass(frozen=True)
class Change:
    """An image that one of the two has right and the other has not. Classes are numbers."""

    split: str
    index: int  # its row in data/processed/<split>_images.npy
    actual: int
    before: int  # what the base took it for
    now: int

    @property
    def gained(self) -> bool:
        """Right now, and not before."""
        return self.now == self.actual


@dataclass(frozen=True)
class Difference:
    """A metric of both, and the difference (this one less the base) with its paired 95 % interval, if it has one."""

    metric: str
    before: float
    now: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """This result against that of another revision, on the images that both have predicted.

    verdict: "better", "worse", "no evidence of a difference", or "not comparable: …"; reason: a sentence.
    parameters: (dotted name, the base's value, this one's) of those that differ. changes: images that changed sides.
    """

    base: str
    split: str
    images: int
    verdict: str
    reason: str
    p_value: float | None
    parameters: list[tuple[str, Any, Any]]
    metrics: list[Difference]
    changes: list[Change]


def comparison_of(base: str | None) -> Comparison | None:
    """This result against the revision `base`; None where no base is given. Raises InputError."""
    if base is None:
        return None
    raise InputError(f"BASE: expected none: this version of the report compares nothing. Received: {base}.")
