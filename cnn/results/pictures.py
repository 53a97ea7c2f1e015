"""Draw all pictures of metrics/figures. Free of TensorFlow."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.results import metrics
from cnn.storage import arrays, paths


def draw_all(classes: list[str], predictions: pd.DataFrame, features: dict[str, NDArray[np.float32]]) -> None:
    """predictions: what `tables.write_predictions` gives; features: the maps of the first image that is in them.

    Reads the images of its split.
    """
    from cnn.results import confusion, figures  # here: they import matplotlib, which is slow

    folder = paths.FIGURES
    tables = {str(split): table for split, table in predictions.groupby("split", sort=False)}
    matrices = {
        split: metrics.confusion_matrix(table["actual"].to_numpy(), table["predicted"].to_numpy(), len(classes))
        for split, table in tables.items()
    }
    confusion.draw_confusion(matrices, classes, folder / "confusion.png")
    figures.draw_history(pd.read_csv(paths.HISTORY), folder / "history.png")
    # Mistakes give ideas of what to change, so they are those of validation, where there is any.
    split, table = next(iter(tables.items()))
    images, _ = arrays.open_split(split)
    figures.draw_mistakes(images, table, classes, folder / "mistakes.png")
    figures.draw_feature_maps(images[0], features, folder / "feature_maps.png")
