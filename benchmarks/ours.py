"""Train and evaluate as the stages do, in one process. python -m benchmarks.ours FOLDER SEED OPTIONS.json"""

import json
import sys
import tempfile
import time
from pathlib import Path

from stages import params, runtime

if __name__ == "__main__":
    OPTIONS = params.Params.model_validate_json(Path(sys.argv[3]).read_text())
    runtime.prepare(OPTIONS.train.determinism)

from stages import dataset, train
from stages import model as network


def main(folder: Path, seed: int, options: params.Params) -> None:
    started = time.perf_counter()
    runtime.set_global_seed(seed)
    images, labels = dataset.open_split("train", folder)
    model = network.build_cnn_model(images.shape[1:], 10, options.model)
    history = train.train_cnn_model(
        model, images, labels, options.train, seed, dataset.open_split("validation", folder)
    )
    with tempfile.TemporaryDirectory() as place:
        network.save_model(model, Path(place, "model.keras"))
        saved = network.load_model(Path(place, "model.keras"))
    images, labels = dataset.open_split("test", folder)
    predict = network.predictor(saved, options.evaluate.shift)
    measured = network.loss_and_accuracy(predict(images, options.evaluate.batch_size), labels)
    work = time.perf_counter() - started
    print(json.dumps({"work_s": work, "accuracy": measured["accuracy"], "val_accuracy": history[-1]["val_accuracy"]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), OPTIONS)
