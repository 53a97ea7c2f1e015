"""Train and evaluate as the stages do, in one process. python -m benchmarks.ours FOLDER SEED OPTIONS.json"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cnn.network import runtime
from cnn.settings import schema

if TYPE_CHECKING:
    import keras


def main(folder: Path, seed: int, options: schema.Params) -> None:
    runtime.prepare(options.train.determinism)  # before NumPy and TensorFlow are imported, or it has no effect

    from cnn.network import build, inference, saved
    from cnn.network.loss import loss_and_accuracy
    from cnn.storage import arrays
    from cnn.training import loop

    started = time.perf_counter()
    runtime.set_global_seed(seed)
    images, labels = arrays.open_split("train", folder)
    model = build.build_cnn_model(images.shape[1:], 10, options.model)
    validation = arrays.open_split("validation", folder)
    train = options.train.model_copy(update={"seed": seed})
    history = loop.train_cnn_model(model, images, labels, train, validation)
    with tempfile.TemporaryDirectory() as place:
        saved.save_model(model, Path(place, "model.keras"))
        network = saved.load_model(Path(place, "model.keras"))
    test_images, test_labels = arrays.open_split("test", folder)
    predict = inference.predictor(network, options.evaluate.shift, options.evaluate.flip)
    measured = loss_and_accuracy(predict(test_images, options.evaluate.batch_size), test_labels)
    result = {
        "work_s": time.perf_counter() - started,
        "val_accuracy": history[-1]["val_accuracy"],
        "accuracy": measured["accuracy"],
        "tflop": 3 * operations(network) * trained_on(options.train, len(images)) / 1e12,
        "peak_tflop_s": peak(),
    }
    print(json.dumps(result))


def trained_on(options: schema.Train, count: int) -> int:
    """How many images the steps of a training are of; each counts as often as it is trained on."""
    from cnn.training.sampling import Sampler

    return Sampler(options, count).steps_before(options.epochs) * options.batch_size


def operations(model: "keras.Sequential") -> int:
    """Floating-point operations of one image's forward pass, convolutions and dense layers only.

    Two for each weight at each place where it is used. A training step needs three times as many, or nearly.
    """
    layers = [layer for layer in model.layers if layer.get_weights()]
    return sum(2 * math.prod(layer.output.shape[1:]) * math.prod(layer.kernel.shape[:-1]) for layer in layers)


def peak(size: int = 1024, tries: int = 20) -> float:
    """TFLOP/s that matrix multiplication (float32, size x size) reaches on all threads; the best of the tries."""
    import tensorflow as tf

    from cnn.network.shards import SHARDS

    matrices = [tf.random.normal((size, size)) for _ in range(SHARDS)]
    multiply = tf.function(lambda: [tf.linalg.matmul(matrix, matrix)[0, 0] for matrix in matrices])
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        multiply()[0].numpy()
        times.append(time.perf_counter() - started)
    return SHARDS * 2 * size**3 / min(times) / 1e12


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), schema.Params.model_validate_json(Path(sys.argv[3]).read_text()))
