"""What the tests share: a valid params.yaml, tiny data sets, servers on this machine, the content of a directory."""

import ipaddress
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hypothesis
import numpy as np
import pytest

from cnn.storage import idx
from tests import tiny

# The same examples in every run: a commit that passed passes again. No deadline: CI machines are uneven.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def params_text():
    """A valid params.yaml: the lesson's, whatever a user tries in the committed one."""
    return tiny.TUTORIAL.read_text()


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

            do_CONNECT = do_GET  # what a proxy is asked

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
            idx.write_idx(file, np.asarray(values, np.uint8))

    return write


@pytest.fixture(scope="session")
def make_raw(write_idx):
    """A function: fill a directory as `download` does, with images of noise that are all different.

    Returns {part: images (n, 5, 4) uint8} of the parts "train" and, where test labels are given, "test". The files
    are called <part>-images and <part>-labels.
    """

    def make(directory, labels, test_labels=None, classes=("ant", "bee", "cat"), seed=0):
        random = np.random.default_rng(seed)
        images, names = {}, {}
        for part, values in (("train", labels), ("test", test_labels)):
            if values is not None:
                images[part] = random.integers(0, 256, (len(values), 5, 4), np.uint8)
                write_idx(directory / f"{part}-images", images[part])
                write_idx(directory / f"{part}-labels", values)
                names |= {f"{part}_{kind}": f"{part}-{kind}" for kind in ("images", "labels")}
        about = {"name": "noise", "title": "Noise", "classes": list(classes), "shape": [5, 4, 1], "files": names}
        (directory / "dataset.json").write_text(json.dumps(about))
        return images

    return make
