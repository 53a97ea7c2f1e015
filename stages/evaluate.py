"""Measure the trained network on each split, and draw it.

in:  data/model/model.keras, metrics/history.csv, data/processed, params.yaml: evaluate, train.determinism
out: metrics/metrics.json, details.csv, predictions.csv, figures/*.png
"""

from cnn.process import stage

TRAIN_SAMPLE = 10_000  # training images measured, evenly spaced: enough to see overfitting


def main() -> None:
    from cnn.network import runtime
    from cnn.settings import params

    options = params.load_params()
    runtime.prepare(options.train.determinism)  # before NumPy and TensorFlow are imported, or it has no effect

    from cnn.network import inference, memory, saved
    from cnn.results import metrics, pictures, tables
    from cnn.storage import arrays

    model = saved.load_model()
    predict = inference.predictor(model, options.evaluate.shift)
    splits = {name: arrays.open_split(name) for name in arrays.SPLITS}
    stride = -(-len(splits["train"][1]) // TRAIN_SAMPLE)
    splits["train"] = (splits["train"][0][::stride], splits["train"][1][::stride])
    largest = max(len(labels) for _, labels in splits.values())
    memory.require_prediction(model, options.evaluate.batch_size, largest, options.evaluate.shift)
    probabilities = {name: predict(images, options.evaluate.batch_size) for name, (images, _) in splits.items()}
    measured = {
        name: metrics.measure(probabilities[name], labels) for name, (_, labels) in splits.items() if len(labels)
    }
    tables.write_headline(measured)
    tables.write_details(measured, model.count_params())
    images, labels = splits["test"]
    predictions = tables.write_predictions(labels, probabilities["test"])
    pictures.draw_all(model, arrays.read_classes(), predictions, images)
    for name in filter(measured.get, tables.HEADLINE):
        accuracy, low, high, loss, n = map(
            measured[name].get, ("accuracy", "accuracy_low", "accuracy_high", "loss", "n")
        )
        print(f"evaluate: {name:10}  accuracy {accuracy:.4f} [{low:.4f}, {high:.4f}]  loss {loss:.4f}  n {n:,}")


if __name__ == "__main__":
    with stage.running("evaluate"):
        main()
