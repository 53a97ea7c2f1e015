"""Train and evaluate as the stages do, in one process. python -m benchmarks.ours FOLDER SEED OPTIONS.json"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

from stages import params, runtime

if __name__ == "__main__":
    OPTIONS = params.Params.model_validate_json(Path(sys.argv[3]).read_text())
    runtime.prepare(OPTIONS.train.determinism)

import keras
import tensorflow as tf

from stages import dataset, train
from stages import model as network


def main(folder: Path, seed: int, options: params.Params) -> None:
    started = time.perf_counter()
    runtime.set_global_seed(seed)
    images, labels = dataset.open_split("train", folder)
    model = network.build_cnn_model(images.shape[1:], 10, options.model)
    validation = dataset.open_split("validation", folder)
    history = train.train_cnn_model(model, images, labels, options.train, seed, validation)
    with tempfile.TemporaryDirectory() as place:
        network.save_model(model, Path(place, "model.keras"))
        saved = network.load_model(Path(place, "model.keras"))
    test_images, test_labels = dataset.open_split("test", folder)
    predict = network.predictor(saved, options.evaluate.shift)
    measured = network.loss_and_accuracy(predict(test_images, options.evaluate.batch_size), test_labels)
    result = {
        "work_s": time.perf_counter() - started,
        "val_accuracy": history[-1]["val_accuracy"],
        "accuracy": measured["accuracy"],
        "tflop": 3 * operations(saved) * len(images) * options.train.epochs / 1e12,
        "peak_tflop_s": peak(),
    }
    print(json.dumps(result))


def operations(model: keras.Sequential) -> int:
    """Floating-point operations of one image's forward pass, convolutions and dense layers only.

    Two for each weight at each place where it is used. A training step needs three times as many, or nearly.
    """
    layers = [layer for layer in model.layers if layer.get_weights()]
    return sum(2 * math.prod(layer.output.shape[1:]) * math.prod(layer.kernel.shape[:-1]) for layer in layers)


def peak(size: int = 1024, tries: int = 20) -> float:
    """TFLOP/s that matrix multiplication (float32, size x size) reaches on all threads; the best of the tries."""
    matrices = [tf.random.normal((size, size)) for _ in range(network.SHARDS)]
    multiply = tf.function(lambda: [tf.linalg.matmul(matrix, matrix)[0, 0] for matrix in matrices])
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        multiply()[0].numpy()
        times.append(time.perf_counter() - started)
    return network.SHARDS * 2 * size**3 / min(times) / 1e12


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), OPTIONS)
