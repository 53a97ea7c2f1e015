"""Train the network.

in:  data/processed/{train,validation}_*.npy and summary.json, params.yaml: model, train
out: data/model/model.keras, metrics/history.csv, whole after each epoch
"""

from cnn.process import stage


def main() -> None:
    from cnn.network import runtime
    from cnn.process import cluster
    from cnn.settings import params

    options = params.load_params()
    machines = cluster.read()
    runtime.prepare(options.train.determinism)  # before NumPy and TensorFlow are imported, or it has no effect

    from cnn.network import build, card, familiar, saved
    from cnn.process import machine
    from cnn.settings import schema
    from cnn.storage import arrays, paths
    from cnn.training import history, joining, loop

    team = joining.join(machines, min(options.train.shards, options.train.batch_size))
    images, labels = arrays.open_split("train")
    summary = arrays.read_summary()
    team.require_same(paths.SUMMARY.read_text())  # of which other images change the means
    runtime.set_global_seed(options.train.seed)
    model = build.build_cnn_model(images.shape[1:], len(summary["classes"]), options.model)
    if team.index:  # the chief alone measures and writes
        loop.train_cnn_model(model, images, labels, options.train, workers=team)
        team.exchange(b"")  # until the chief has saved: who has ended would not come again where it is lost now
        return
    model.summary()
    print(f"train: determinism {options.train.determinism}, {machine.threads()} threads", flush=True)
    validation = arrays.open_split("validation")
    outputs = paths.CHECKPOINT, history.write
    rows = loop.train_cnn_model(model, images, labels, options.train, validation, *outputs, team)
    known = familiar.learn(images, validation[0])
    height, width, channels = images.shape[1:]
    image = schema.Image(height=height, width=width, channels=channels)
    about = card.Card(summary["dataset"], summary["classes"], image, summary["fit"], known)
    saved.save_model(model, entries=card.entries(about))
    team.exchange(b"")
    paths.CHECKPOINT.unlink(missing_ok=True)
    print(f"train: accuracy in the last epoch {rows[-1]['accuracy']:.4f}")


if __name__ == "__main__":
    with stage.running("train"):
        main()
