"""Split a data set into train, validation and test, as arrays that can be memory-mapped.

in:  data/raw, params.yaml: seed, preprocess
out: data/processed: {train,validation,test}_{images,labels}.npy and summary.json
"""

import hashlib
import json
import math
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from stages import dataset, errors, files, params
from stages.catalogue import About
from stages.dataset import PROCESSED, RAW, SPLITS
from stages.errors import InputError


def preprocess(options: params.Preprocess, seed: int, raw: Path = RAW, processed: Path = PROCESSED) -> dict[str, Any]:
    """Write the splits and their summary. Returns the summary.

    Raises InputError where the raw files are damaged or missing, a class is too small to be split, or an
    image of the test set is also in the training set.
    """
    about = read_about(raw / "dataset.json")
    labels = read_labels(raw, "train", about)
    has_test = any(raw.glob("t10k-*"))  # one of the two is enough: the other one is then missed
    split_of = assign(labels, options, seed, has_test)
    tallies = {split: Tally(len(about.classes)) for split in SPLITS}
    sizes = Counter(SPLITS[number] for number in split_of)
    if has_test:
        test_labels = read_labels(raw, "t10k", about)
        sizes["test"] = len(test_labels)
    with ExitStack() as stack:
        outputs = {split: _open_outputs(stack, processed, split, sizes[split], about.shape) for split in SPLITS}
        _distribute(raw, "train", about, labels, split_of, outputs, tallies)
        if has_test:
            everything = np.full(len(test_labels), SPLITS.index("test"))
            _distribute(raw, "t10k", about, test_labels, everything, outputs, tallies)
        summary = summarize(about, tallies)
        with files.whole(processed / "summary.json", "w") as out:
            json.dump(summary, out, indent=2)
            out.write("\n")
    return summary


def read_about(path: Path) -> About:
    """Read what the catalogue says of the data set. Raises InputError."""
    try:
        about = About.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{path}: expected what download writes: {error.errors()[0]['msg']}. Run `dvc repro`."
        ) from None
    if about.shape[2] != 1:
        raise InputError(f"{path}: expected 1 channel: IDX images are grey. Received: {about.shape[2]}.")
    return about


def read_labels(raw: Path, part: str, about: About) -> NDArray[np.uint8]:
    """Read the labels of a part ("train" or "t10k") of a data set: (n,) uint8. Raises InputError."""
    path = raw / f"{part}-labels-idx1-ubyte"
    shape = dataset.idx_shape(path)
    images = dataset.idx_shape(path.with_name(f"{part}-images-idx3-ubyte"))
    if len(shape) != 1 or len(images) != 3:
        raise InputError(f"{path}: expected labels in one dimension, images in three. Received: {shape} and {images}.")
    if shape[0] != images[0]:
        raise InputError(f"{path}: expected as many labels as images. Received: {shape[0]} and {images[0]}.")
    if shape[0] == 0:
        raise InputError(f"{path}: expected images. Received: none.")
    if list(images[1:]) != about.shape[:2]:
        raise InputError(f"{path}: expected images of {about.shape[:2]} pixels. Received: {list(images[1:])}.")
    labels = np.concatenate(list(dataset.idx_rows(path)))
    counts = np.bincount(labels, minlength=len(about.classes))
    if len(counts) > len(about.classes):
        raise InputError(f"{path}: expected labels from 0 to {len(about.classes) - 1}. Received: {labels.max()}.")
    if not counts.all():
        empty = [about.classes[label] for label in np.flatnonzero(counts == 0)]
        raise InputError(f"{path}: expected images of every class. Received: none of {', '.join(empty)}.")
    return labels


def assign(labels: NDArray[np.uint8], options: params.Preprocess, seed: int, has_test: bool) -> NDArray[np.intp]:
    """Choose a split for each training image, stratified by class: (n,) indices into SPLITS."""
    from sklearn.model_selection import train_test_split  # here: it takes two seconds to import

    split_of = np.full(len(labels), SPLITS.index("train"))
    fractions = {} if has_test else {"test": options.test_fraction}
    fractions["validation"] = options.validation_fraction
    for split, fraction in fractions.items():
        if fraction:
            rest = np.flatnonzero(split_of == SPLITS.index("train"))
            try:
                _, chosen = train_test_split(rest, test_size=fraction, random_state=seed, stratify=labels[rest])
            except ValueError as error:
                raise InputError(f"preprocess.{split}_fraction: {fraction} of {len(rest)} images: {error}") from None
            split_of[chosen] = SPLITS.index(split)
    return split_of


class Tally:
    """What the summary says of a split, gathered a piece at a time."""

    def __init__(self, classes: int):
        self.per_class = np.zeros(classes, np.int64)
        # Integers: the same sums on every CPU, in whatever order they are added.
        self.values = self.total = self.squares = 0
        self.seen: Counter[bytes] = Counter()

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        histogram = np.bincount(images.ravel(), minlength=256)
        pixels = np.arange(256)
        self.per_class += np.bincount(labels, minlength=len(self.per_class))
        self.values += images.size
        self.total += int(histogram @ pixels)
        self.squares += int(histogram @ pixels**2)
        self.seen.update(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)

    def summary(self) -> dict[str, Any]:
        mean = self.total / self.values if self.values else None
        variance = (self.squares * self.values - self.total**2) / self.values**2 if self.values else None
        return {
            "images": int(self.per_class.sum()),
            "per_class": self.per_class.tolist(),
            "mean": mean,
            "standard_deviation": math.sqrt(variance) if variance is not None else None,
            "duplicates": self.seen.total() - len(self.seen),
        }


def summarize(about: About, tallies: dict[str, Tally]) -> dict[str, Any]:
    """Describe the splits: pixel statistics (0 to 255), images per class, duplicates. Raises InputError on leakage."""
    across = {
        f"{one}-{other}": len(tallies[one].seen.keys() & tallies[other].seen.keys())
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test"))
    }
    leaked = across["train-test"] + across["validation-test"]
    if leaked:
        raise InputError(
            f"expected no image of the test set among those trained or tuned on. Received: {leaked}. "
            "Remove the duplicates from the data set: a test on images seen before proves nothing."
        )
    return {
        "dataset": about.name,
        "shape": about.shape,
        "classes": about.classes,
        **{split: tally.summary() for split, tally in tallies.items()},
        "duplicates_across": across,
    }


Outputs = tuple[IO[bytes], IO[bytes]]


def _open_outputs(stack: ExitStack, processed: Path, split: str, size: int, shape: list[int]) -> Outputs:
    images = stack.enter_context(files.whole(processed / f"{split}_images.npy"))
    labels = stack.enter_context(files.whole(processed / f"{split}_labels.npy"))
    dataset.write_npy_header(images, (size, *shape))
    dataset.write_npy_header(labels, (size,))
    return images, labels


def _distribute(
    raw: Path,
    part: str,
    about: About,
    labels: NDArray[np.uint8],
    split_of: NDArray[np.intp],
    outputs: dict[str, Outputs],
    tallies: dict[str, Tally],
) -> None:
    """Copy the images of a part to their splits, in the order of the file."""
    start = 0
    for images in dataset.idx_rows(raw / f"{part}-images-idx3-ubyte"):
        rows = slice(start, start + len(images))
        for number, split in enumerate(SPLITS):
            chosen = split_of[rows] == number
            outputs[split][0].write(images[chosen].tobytes())
            outputs[split][1].write(labels[rows][chosen].tobytes())
            tallies[split].add(images[chosen], labels[rows][chosen])
        start += len(images)


def main() -> None:
    options = params.load_params()
    summary = preprocess(options.preprocess, options.seed)
    print("preprocess: " + ", ".join(f"{split} {summary[split]['images']:,}" for split in SPLITS))


if __name__ == "__main__":
    with errors.reported("preprocess"):
        main()
