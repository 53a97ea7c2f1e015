"""Write the splits train, validation and test, as arrays that can be memory-mapped, and their summary."""

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import duplicates, npz, raw, reading
from cnn.datasets.dataset import DataSet, Part
from cnn.datasets.duplicates import Digests
from cnn.datasets.summary import Tally, summarize
from cnn.process.errors import InputError
from cnn.settings import schema
from cnn.settings.published import About
from cnn.storage import arrays, files, paths
from cnn.storage.arrays import SPLITS

DROPPED = len(SPLITS)  # in place of a split: the image is left out


def write(options: schema.Preprocess, source: Path = paths.RAW, processed: Path = paths.PROCESSED) -> dict[str, Any]:
    """Write {train,validation,test}_{images,labels}.npy and summary.json to `processed`. Returns the summary.

    Raises InputError where the data are damaged or missing, a class is too small to be split, or an image of the
    test set is also in the training set and not to be dropped.
    """
    with _opened(source, options, processed) as data, ExitStack() as stack:
        digests = {name: duplicates.digests_of(part) for name, part in data.parts.items()}
        split_of = _splits(data, digests, options)
        sizes = np.bincount(np.concatenate(list(split_of.values())), minlength=DROPPED + 1).tolist()
        outputs = {
            split: _Output(stack, processed, split, sizes[number], data, options) for number, split in enumerate(SPLITS)
        }
        for name, part in data.parts.items():
            _distribute(part, split_of[name], digests[name], outputs)
        found = {
            "unreadable": data.unreadable,
            "dropped": sizes[DROPPED],
            "contradictory": duplicates.contradictory(data.parts, digests),
        }
        summary = summarize(data, options, {split: output.tally for split, output in outputs.items()}, found)
        with files.whole(processed / paths.SUMMARY.name, "w") as out:
            json.dump(summary, out, indent=2)
            out.write("\n")
    return summary


@contextmanager
def _opened(source: Path, options: schema.Preprocess, processed: Path) -> Iterator[DataSet]:
    """The data set that dataset.json describes."""
    about = raw.read_about(source / "dataset.json")
    if isinstance(about, About):
        yield raw.opened(about, options, source)
    elif about.format == "npz":
        yield npz.opened(about, options)
    else:
        with reading.opened(about, options, processed) as data:
            yield data


def _splits(data: DataSet, digests: dict[str, Digests], options: schema.Preprocess) -> dict[str, NDArray[np.intp]]:
    """The split of each image of each part: (n,) indices into SPLITS, or DROPPED."""
    allowed = duplicates.allowed(digests, options.duplicates == "drop")
    split_of = {name: np.where(allowed[name], SPLITS.index(name), DROPPED) for name in data.parts}
    fractions = {"test": options.test_fraction, "validation": options.validation_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in data.parts}
    train, kept = data.parts["train"].labels, allowed["train"]
    split_of["train"][kept] = assign(train[kept], digests["train"][kept], data.classes, missing, options.seed)
    return split_of


def assign(
    labels: NDArray[np.uint8], digests: Digests, classes: list[str], fractions: dict[str, float], seed: int
) -> NDArray[np.intp]:
    """Choose a split for each image: (n,) indices into SPLITS, stratified by class, equal images in the same split.

    fractions: which splits are cut, in this order, and the share of what is left then. Raises InputError where a
    class is too small for that.
    """
    from sklearn.model_selection import train_test_split  # here: it takes two seconds to import

    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    split_of = np.full(len(labels), DROPPED)
    split_of[first] = SPLITS.index("train")
    for split, fraction in fractions.items():
        if fraction:
            rest = np.flatnonzero(split_of == SPLITS.index("train"))  # the first of each group of equal images
            _require_enough(f"preprocess.{split}_fraction", fraction, labels[rest], classes)
            _, chosen = train_test_split(rest, test_size=fraction, random_state=seed, stratify=labels[rest])
            split_of[chosen] = SPLITS.index(split)
    return split_of[first][group]


def _require_enough(name: str, fraction: float, labels: NDArray[np.uint8], classes: list[str]) -> None:
    """Raise InputError where a class cannot be on both sides of a split."""
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < 2:
        smallest = classes[int(counts.argmin())]
        raise InputError(
            f"{name}: expected at least 2 different images of each class to split. Received: {counts.min()} of "
            f"{smallest!r}."
        )
    chosen = math.ceil(fraction * len(labels))  # as scikit-learn rounds
    if not len(counts) <= chosen <= len(labels) - len(counts):
        raise InputError(
            f"{name}: expected {len(counts)} to {len(labels) - len(counts)} of {len(labels)} images, one of each class "
            f"on both sides. Received: {fraction}, which is {chosen}."
        )


class _Output:
    """The two files of a split, open for writing, and what the summary says of it."""

    def __init__(
        self, stack: ExitStack, processed: Path, split: str, size: int, data: DataSet, options: schema.Preprocess
    ):
        self.images: IO[bytes] = stack.enter_context(files.whole(processed / f"{split}_images.npy"))
        self.labels: IO[bytes] = stack.enter_context(files.whole(processed / f"{split}_labels.npy"))
        arrays.write_npy_header(self.images, (size, *options.image.shape))
        arrays.write_npy_header(self.labels, (size,))
        self.tally = Tally(len(data.classes))

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], digests: Digests) -> None:
        self.images.write(images.tobytes())
        self.labels.write(labels.tobytes())
        self.tally.add(images, labels, digests)


def _distribute(part: Part, split_of: NDArray[np.intp], digests: Digests, outputs: dict[str, _Output]) -> None:
    """Copy the images of a part to their splits, in their order."""
    start = 0
    for images in part.pieces():
        rows = slice(start, start + len(images))
        for split, output in outputs.items():
            chosen = split_of[rows] == SPLITS.index(split)
            output.add(images[chosen], part.labels[rows][chosen], digests[rows][chosen])
        start += len(images)
