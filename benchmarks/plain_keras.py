"""The yardstick: the lesson as tutorials write it. python -m benchmarks.plain_keras FOLDER SEED"""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np


def main(folder: Path, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    train_images, train_labels = np.load(folder / "train_images.npy"), np.load(folder / "train_labels.npy")
    validation = np.load(folder / "validation_images.npy"), np.load(folder / "validation_labels.npy")
    test_images, test_labels = np.load(folder / "test_images.npy"), np.load(folder / "test_labels.npy")
    train_images = train_images.astype("float32") / 255
    validation = validation[0].astype("float32") / 255, validation[1]
    test_images = test_images.astype("float32") / 255

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=5, batch_size=64, validation_data=validation, verbose=0)
    _, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(json.dumps({"work_s": time.perf_counter() - started, "accuracy": accuracy}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
