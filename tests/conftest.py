"""What the tests share: a valid params.yaml, tiny data sets, servers on this machine, the content of a directory."""

import ipaddress
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hypothesis
import numpy as np
import pytest

from stages import dataset

# The same examples in every run: a commit that passed passes again. No deadline: CI machines are uneven.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

# A copy of the lesson's parameters: the tests must pass whatever a user tries in params.yaml.
PARAMS = """\
seed: 42
download:
  dataset: mnist-5k
preprocess:
  validation_fraction: 0.1
  test_fraction: 0.2
model:
  filters: [32, 64, 64]
  kernel_sizes: [3, 3, 3]
  strides: [1, 1, 1]
  pool_sizes: [2, 2, 1]
  batch_norm: false
  activation: relu
  padding: valid
  head: flatten
  dense_units: [64]
  dropout: 0.0
  normalize: true
train:
  epochs: 5
  batch_size: 64
  optimizer: adam
  learning_rate: 0.001
  schedule: constant
  label_smoothing: 0.0
  augment: {shift: 0, rotate: 0, zoom: 0.0, shear: 0.0}
  checkpoint_seconds: 300
  determinism: portable
evaluate:
  batch_size: 1000
  shift: 0
"""


@pytest.fixture(scope="session")
def params_text():
    """A valid params.yaml."""
    return PARAMS


@pytest.fixture(scope="session")
def state():
    """A function: what a directory holds, as {path of each file: its content}."""
    return lambda directory: {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Fail whatever test leaves this machine. `pytest.fail` gets past `except Exception`."""
    connect = socket.socket.connect

    def guarded(self, address):
        internet = self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "localhost"
        if internet and not ipaddress.ip_address(address[0]).is_loopback:
            self.close()
            pytest.fail(f"tried to connect to {address[0]}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture
def serve():
    """A function: start an HTTP server on this machine and return (its URL, the list of paths asked for).

    `answer` gets each GET request as an http.server handler and writes the response. One that waits
    must wait on `request.server.over`, which is set at the end of the test.
    """
    servers = []

    def start(answer):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append(self.path)
                answer(self)

            def end_headers(self):
                self.send_header("Connection", "close")
                super().end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.over = threading.Event()
        server.handle_error = lambda *_: None  # the client hung up: what many of these tests are about
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def write_idx():
    """A function: write an array, or lists, of uint8 as an IDX file."""

    def write(path, values):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            dataset.write_idx(file, np.asarray(values, np.uint8))

    return write


@pytest.fixture(scope="session")
def make_raw(write_idx):
    """A function: fill a directory as `download` does, with images of noise that are all different.

    Returns {part: images (n, 5, 4) uint8} of the parts "train" and, where test labels are given, "t10k".
    """

    def make(directory, labels, test_labels=None, classes=("ant", "bee", "cat"), seed=0):
        random = np.random.default_rng(seed)
        images = {}
        for part, values in (("train", labels), ("t10k", test_labels)):
            if values is not None:
                images[part] = random.integers(0, 256, (len(values), 5, 4), np.uint8)
                write_idx(directory / f"{part}-images-idx3-ubyte", images[part])
                write_idx(directory / f"{part}-labels-idx1-ubyte", values)
        about = {"name": "noise", "title": "Noise", "classes": list(classes), "shape": [5, 4, 1]}
        (directory / "dataset.json").write_text(json.dumps(about))
        return images

    return make
