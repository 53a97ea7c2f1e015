"""Draw all pictures of metrics/figures."""

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.results import confusion, figures, metrics
from cnn.storage import paths


def draw_all(
    model: keras.Sequential, classes: list[str], predictions: pd.DataFrame, images: Mapping[str, NDArray[np.uint8]]
) -> None:
    """predictions: what `tables.write_predictions` gives; images: of each split (n, height, width, channels)."""
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
    figures.draw_mistakes(images[split], table, classes, folder / "mistakes.png")
    image = images[split][0]
    figures.draw_feature_maps(image, feature_maps(model, image), folder / "feature_maps.png")


def feature_maps(model: keras.Sequential, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What each activation and pooling layer makes of an image (height, width, channels), by the layer's name."""
    shown = [layer for layer in model.layers if isinstance(layer, (keras.layers.Activation, keras.layers.MaxPooling2D))]
    maps = keras.Model(model.inputs[0], [layer.output for layer in shown])
    # Of one layer alone, Keras gives its output, and no list.
    outputs = keras.tree.flatten(maps(image[np.newaxis].astype(np.float32), training=False))
    return {layer.name: output[0].numpy() for layer, output in zip(shown, outputs, strict=True)}
