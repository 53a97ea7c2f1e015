"""Write the splits train, validation and test, as arrays that can be memory-mapped, and their summary."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import duplicates, npz, raw, reading, strata
from cnn.datasets.dataset import DataSet, Part
from cnn.datasets.duplicates import Groups
from cnn.datasets.summary import Tally, summarize
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
        groups = duplicates.find(data.parts)
        split_of = _splits(data, groups, options)
        sizes = np.bincount(np.concatenate(list(split_of.values())), minlength=DROPPED + 1).tolist()
        outputs = {
            split: _Output(stack, processed, split, sizes[number], data, options) for number, split in enumerate(SPLITS)
        }
        for name, part in data.parts.items():
            _distribute(part, split_of[name], outputs)
        found = {
            "unreadable": data.unreadable,
            "dropped": sizes[DROPPED],
            "contradictory": duplicates.contradictory(data.parts, groups),
        }
        tallies = {split: output.tally for split, output in outputs.items()}
        summary = summarize(data, options, tallies, _groups_of_splits(split_of, groups), found)
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


def _splits(data: DataSet, groups: Groups, options: schema.Preprocess) -> dict[str, NDArray[np.int8]]:
    """The split of each image of each part: (n,) indices into SPLITS, or DROPPED."""
    allowed = duplicates.allowed(groups, options.duplicates == "drop")
    split_of = {name: np.where(allowed[name], SPLITS.index(name), DROPPED).astype(np.int8) for name in data.parts}
    fractions = {"test": options.test_fraction, "validation": options.validation_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in data.parts}
    train, kept = data.parts["train"].labels, allowed["train"]
    split_of["train"][kept] = strata.assign(train[kept], groups["train"][kept], data.classes, missing, options.seed)
    return split_of


def _groups_of_splits(split_of: dict[str, NDArray[np.int8]], groups: Groups) -> Groups:
    """The group of each image of each split."""
    return {
        split: np.concatenate([groups[part][split_of[part] == number] for part in groups])
        for number, split in enumerate(SPLITS)
    }


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

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        self.images.write(images.tobytes())
        self.labels.write(labels.tobytes())
        self.tally.add(images, labels)


def _distribute(part: Part, split_of: NDArray[np.int8], outputs: dict[str, _Output]) -> None:
    """Copy the images of a part to their splits, in their order."""
    start = 0
    for images in part.pieces():
        rows = slice(start, start + len(images))
        for split, output in outputs.items():
            chosen = split_of[rows] == SPLITS.index(split)
            output.add(images[chosen], part.labels[rows][chosen])
        start += len(images)
