"""The same bits on other CPUs, under user-mode emulation; and what the emulated process runs (see `main`)."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from cnn.settings import schema

LESSON = Path(__file__).resolve().parents[1] / "recipes/tutorial.yaml"
QEMU = shutil.which("qemu-x86_64")
# What each network has beyond a plain one: all that was ever seen to depend on the CPU, and all that draws.
KINDS = {
    "plain": {},
    "batch_norm": {"model": {"batch_norm": True}},
    "dropout": {"model": {"dropout": 0.3, "head": "average", "padding": "same", "activation": "elu"}},
    "augmented": {
        "train": {
            "augment": {"shift": 2, "rotate": 10, "zoom": 0.1, "shear": 0.15},
            "schedule": "one_cycle",
            "label_smoothing": 0.1,
            "optimizer": "sgd",
        }
    },
    "shifted": {
        "model": {
            "blocks": {
                "conv1": {"filters": 4, "kernel_size": 4, "stride": 1, "pool_size": 1},
                "conv2": {"filters": 8, "kernel_size": 3, "stride": 2, "pool_size": 2},
            }
        },
        # Shards of more images than a vector holds, and of 2,028 rows for the first bias to sum.
        "train": {"augment": {"shift": 1.5}, "batch_size": 48},
    },
    "half of the images": {
        "model": {"batch_norm": True},
        "train": {"epoch_share": 0.5, "epochs": 3, "batch_size": 8},
    },
    "photographs": {
        "channels": 3,
        "views": (1, True),
        "train": {
            "augment": {"crop": 2, "flip": True, "brightness": 0.2, "contrast": 0.3, "saturation": 0.4},
            "class_weights": "balanced",
            "weight_decay": 0.01,
        },
    },
}
TINY = {
    "model": {
        "blocks": {
            "conv1": {"filters": 4, "kernel_size": 4, "stride": 2, "pool_size": 2},
            "conv2": {"filters": 8, "kernel_size": 3, "stride": 1, "pool_size": 1},
        },
        "dense_units": 8,
    },
    "train": {"epochs": 2, "batch_size": 16},
}


@pytest.fixture(scope="module")
def native() -> dict[str, str]:
    return run([sys.executable])


@pytest.mark.slow
@pytest.mark.skipif(not QEMU, reason="needs qemu-user (in Debian: apt install qemu-user)")
@pytest.mark.parametrize("cpu", ["Haswell", "EPYC-Milan"])
def test_another_cpu_makes_the_same_files(cpu: str, native: dict[str, str]) -> None:
    assert run([QEMU, "-cpu", cpu, sys.executable]) == native


@pytest.mark.slow
def test_networks_differ(native: dict[str, str]) -> None:
    models = [digest for name, digest in native.items() if name.endswith("model.keras")]
    assert len(set(models)) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_three_tensors_are_added_in_an_order_that_depends_on_timing(kind: str) -> None:
    """`AddN` begins with the tensor whose buffer is free just then; of two, the order makes no difference."""
    import numpy as np

    from cnn.network import build
    from cnn.training.step import Step

    architecture, options = tiny(kind)
    network = build.build_cnn_model((16, 16, KINDS[kind].get("channels", 1)), 3, architecture)
    functions = Step(network, np.dtype(np.uint8), options).graph().as_graph_def().library.function
    sums = [node.attr["N"].i for function in functions for node in function.node_def if node.op == "AddN"]
    assert max(sums, default=0) <= 2


def tiny(kind: str) -> tuple[schema.Model, schema.Train]:
    """The sections `model` and `train` of a tiny network's parameters; what is not named here is the lesson's."""
    lesson = yaml.safe_load(LESSON.read_text())
    sections = {name: lesson[name] | TINY[name] | KINDS[kind].get(name, {}) for name in TINY}
    sections["train"]["augment"] = lesson["train"]["augment"] | sections["train"]["augment"]
    return schema.Model.model_validate(sections["model"]), schema.Train.model_validate(sections["train"])


def run(python: list[str]) -> dict[str, str]:
    """Run `main` in a process of its own: file name to hash."""
    done = subprocess.run([*python, "-m", "tests.test_portable"], stdout=subprocess.PIPE, check=True, timeout=1200)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Train a tiny network of each kind, measure and draw it, and print the hash of each file made."""
    from cnn.network import runtime

    runtime.prepare("portable")
    import numpy as np
    import pandas as pd

    from cnn.network import build, inference, saved
    from cnn.results import confusion, figures, intervals, metrics
    from cnn.training import loop

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 16, 16, 1), dtype=np.uint8)
    coloured = np.concatenate([images, images[::-1], images[:, ::-1]], axis=-1)
    labels = rng.integers(0, 3, 48).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            architecture, options = tiny(kind)
            runtime.set_global_seed(1)
            pixels = coloured if "channels" in KINDS[kind] else images
            network = build.build_cnn_model(pixels.shape[1:], 3, architecture)
            history = loop.train_cnn_model(network, pixels, labels, options, (pixels[:10], labels[:10]))
            place = Path(folder, kind)
            saved.save_model(network, place / "model.keras")
            views = KINDS[kind].get("views", (0, False))
            probabilities = inference.predictor(saved.load_model(place / "model.keras"), *views)(pixels, 20)
            answers = metrics.answers_of(probabilities, labels)
            (place / "probabilities").write_bytes(probabilities.tobytes())
            (place / "metrics").write_text(repr((history, metrics.measure(answers), intervals.intervals(answers))))
        # Drawing does not depend on the kind.
        figures.draw_history(pd.DataFrame(history), place / "history.png")
        matrix = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), 3)
        confusion.draw_confusion({"test": matrix}, ["one", "two", "three"], place / "confusion.png")
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        hashes = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    print(json.dumps(hashes))


if __name__ == "__main__":
    main()
