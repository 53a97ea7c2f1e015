"""Measure the trained network on each split, and draw it.

in:  data/model/model.keras, metrics/history.csv, data/processed, params.yaml: evaluate, train.determinism
out: metrics/metrics.json, details.csv, classes.csv, predictions.csv, figures/*.png
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnn.process import stage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from cnn.settings import schema

TRAIN_SAMPLE = 10_000  # training images measured, evenly spaced: enough to see overfitting


def main() -> None:
    from cnn.network import runtime
    from cnn.process import beside
    from cnn.settings import params

    options = params.load_params()
    runtime.set_environment(options.train.determinism)
    # It imports matplotlib while this process imports TensorFlow.
    with beside.worker("cnn.results.figures") as drawing:
        runtime.prepare(options.train.determinism)  # before NumPy and TensorFlow are imported, or it has no effect
        evaluate(options, drawing)


def evaluate(options: schema.Params, drawing: Connection) -> None:
    """Predict, measure, and have the pictures drawn by the process beside this one."""
    from cnn.network import inference, memory, saved
    from cnn.process import beside
    from cnn.results import metrics, pictures, tables
    from cnn.storage import arrays

    model = saved.load_model()
    shift, flip = options.evaluate.shift, options.evaluate.flip
    predict = inference.predictor(model, shift, flip)
    splits = {name: arrays.open_split(name) for name in arrays.SPLITS}
    stride = -(-len(splits["train"][1]) // TRAIN_SAMPLE)
    splits["train"] = (splits["train"][0][::stride], splits["train"][1][::stride])
    splits = {name: split for name, split in splits.items() if len(split[1])}
    largest = max(len(labels) for _, labels in splits.values())
    memory.require_prediction(model, options.evaluate.batch_size, largest, shift, flip)
    answers = {
        name: metrics.answers_of(predict(images, options.evaluate.batch_size), labels)
        for name, (images, labels) in splits.items()
    }
    images = {name: images for name, (images, _) in splits.items()}
    tables.write_headline(answers)
    predictions = tables.write_predictions(answers, images)
    classes, first = arrays.read_classes(), predictions["split"].iloc[0]
    features = inference.feature_maps(model, images[first][0])
    beside.send(drawing, partial(pictures.draw_all, classes, predictions), [features], "draw pictures")
    details = tables.write_details(answers, model.count_params())
    tables.write_classes(answers, classes)
    beside.received(drawing, "draw pictures")
    rows = {(row["split"], row["metric"]): row for row in details.to_dict("records")}
    for split in filter(answers.get, tables.HEADLINE):
        accuracy, loss = rows[split, "accuracy"], rows[split, "loss"]
        interval = f"[{accuracy['low']:.4f}, {accuracy['high']:.4f}]"
        values = f"accuracy {accuracy['value']:.4f} {interval}  loss {loss['value']:.4f}  n {loss['n']:,}"
        print(f"evaluate: {split:10}  {values}")


if __name__ == "__main__":
    with stage.running("evaluate"):
        main()
