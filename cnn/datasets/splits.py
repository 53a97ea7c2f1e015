"""Write the splits train, validation and test, as arrays that can be memory-mapped, and their summary."""

import json
import math
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import raw
from cnn.datasets.summary import Tally, summarize
from cnn.process.errors import InputError
from cnn.settings import schema
from cnn.settings.catalogue import About
from cnn.storage import arrays, files, idx, paths
from cnn.storage.arrays import SPLITS


def write(options: schema.Preprocess, source: Path = paths.RAW, processed: Path = paths.PROCESSED) -> dict[str, Any]:
    """Write {train,validation,test}_{images,labels}.npy and summary.json to `processed`. Returns the summary.

    Raises InputError where the raw files are damaged or missing, a class is too small to be split, or an
    image of the test set is also in the training set.
    """
    about = raw.read_about(source / "dataset.json")
    labels = {"train": raw.read_labels(source, "train", about)}
    if "test_labels" in about.files:
        labels["test"] = raw.read_labels(source, "test", about)
    split_of = {part: np.full(len(values), SPLITS.index("test")) for part, values in labels.items()}
    split_of["train"] = assign(labels["train"], options, has_test="test" in labels)
    sizes = Counter(SPLITS[number] for numbers in split_of.values() for number in numbers)
    with ExitStack() as stack:
        outputs = {split: _Output(stack, processed, split, sizes[split], about) for split in SPLITS}
        for part, numbers in split_of.items():
            _distribute(source / about.files[f"{part}_images"], labels[part], numbers, outputs)
        summary = summarize(about, {split: output.tally for split, output in outputs.items()})
        with files.whole(processed / paths.SUMMARY.name, "w") as out:
            json.dump(summary, out, indent=2)
            out.write("\n")
    return summary


def assign(labels: NDArray[np.uint8], options: schema.Preprocess, has_test: bool) -> NDArray[np.intp]:
    """Choose a split for each training image, stratified by class: (n,) indices into SPLITS.

    Raises InputError where a class is too small for that.
    """
    from sklearn.model_selection import train_test_split  # here: it takes two seconds to import

    split_of = np.full(len(labels), SPLITS.index("train"))
    fractions = {} if has_test else {"test": options.test_fraction}
    fractions["validation"] = options.validation_fraction
    for split, fraction in fractions.items():
        if fraction:
            rest = np.flatnonzero(split_of == SPLITS.index("train"))
            _require_enough(f"preprocess.{split}_fraction", fraction, labels[rest])
            _, chosen = train_test_split(rest, test_size=fraction, random_state=options.seed, stratify=labels[rest])
            split_of[chosen] = SPLITS.index(split)
    return split_of


def _require_enough(name: str, fraction: float, labels: NDArray[np.uint8]) -> None:
    """Raise InputError where a class cannot be on both sides of a split."""
    counts = np.unique(labels, return_counts=True)[1]
    if counts.min() < 2:
        raise InputError(f"{name}: expected at least 2 images of each class to split. Received: {counts.min()}.")
    chosen = math.ceil(fraction * len(labels))  # as scikit-learn rounds
    if not len(counts) <= chosen <= len(labels) - len(counts):
        raise InputError(
            f"{name}: expected {len(counts)} to {len(labels) - len(counts)} of {len(labels)} images, one of each class "
            f"on both sides. Received: {fraction}, which is {chosen}."
        )


class _Output:
    """The two files of a split, open for writing, and what the summary says of it."""

    def __init__(self, stack: ExitStack, processed: Path, split: str, size: int, about: About):
        self.images: IO[bytes] = stack.enter_context(files.whole(processed / f"{split}_images.npy"))
        self.labels: IO[bytes] = stack.enter_context(files.whole(processed / f"{split}_labels.npy"))
        arrays.write_npy_header(self.images, (size, *about.shape))
        arrays.write_npy_header(self.labels, (size,))
        self.tally = Tally(len(about.classes))

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        self.images.write(images.tobytes())
        self.labels.write(labels.tobytes())
        self.tally.add(images, labels)


def _distribute(path: Path, labels: NDArray[np.uint8], split_of: NDArray[np.intp], outputs: dict[str, _Output]) -> None:
    """Copy the images of an IDX file to their splits, in the order of the file."""
    start = 0
    for images in idx.idx_rows(path):
        rows = slice(start, start + len(images))
        for number, split in enumerate(SPLITS):
            chosen = split_of[rows] == number
            outputs[split].add(images[chosen], labels[rows][chosen])
        start += len(images)
