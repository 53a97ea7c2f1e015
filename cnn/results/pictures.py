"""Draw all pictures of metrics/figures."""

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.results import figures, metrics
from cnn.storage import paths


def draw_all(model: keras.Sequential, classes: list[str], predictions: pd.DataFrame, images: NDArray[np.uint8]) -> None:
    """predictions: what `tables.write_predictions` gives for the test images (n, height, width, channels)."""
    folder = paths.FIGURES
    actual, predicted = predictions["actual"].to_numpy(), predictions["predicted"].to_numpy()
    matrix = metrics.confusion_matrix(actual, predicted, len(classes))
    figures.draw_confusion(matrix, classes, folder / "confusion.png")
    figures.draw_history(pd.read_csv(paths.HISTORY), folder / "history.png")
    figures.draw_mistakes(images, predictions, classes, folder / "mistakes.png")
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    figures.draw_filters(first.get_weights()[0], folder / "filters.png")
    figures.draw_feature_maps(images[0], feature_maps(model, images[0]), folder / "feature_maps.png")


def feature_maps(model: keras.Sequential, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What each activation and pooling layer makes of an image (height, width, channels), by the layer's name."""
    shown = [layer for layer in model.layers if isinstance(layer, (keras.layers.Activation, keras.layers.MaxPooling2D))]
    maps = keras.Model(model.inputs[0], [layer.output for layer in shown])
    outputs = maps(image[np.newaxis].astype(np.float32), training=False)
    return {layer.name: output[0].numpy() for layer, output in zip(shown, outputs, strict=True)}
