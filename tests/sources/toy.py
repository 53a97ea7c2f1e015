"""A data set of two files, and how a server may answer who asks for them."""

import hashlib
import json

from cnn.settings.published import Source

# Any bytes will do: only sizes and hashes are looked at.
IMAGES, LABELS = bytes(range(256)) * 300, b"some labels"
NAMES = {"train_images": "train-images-idx3-ubyte", "train_labels": "train-labels-idx1-ubyte"}
FILE = NAMES["train_images"]
ABOUT = {"title": "A toy", "classes": ["ant", "bee"], "shape": [5, 4, 1]}


def entry(name, content):
    """What the catalogue says of one file."""
    return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def source(*mirrors, **changes):
    """The catalogue's entry of IMAGES and LABELS, with these mirrors."""
    files = {role: entry(NAMES[role], content) for role, content in zip(NAMES, (IMAGES, LABELS), strict=True)}
    rest = {"licence": "none", "citation": "none", "format": "idx", "files": files, "mirrors": list(mirrors)}
    return Source.model_validate(ABOUT | rest | changes)


def complete():
    """What a directory holds that is filled with it: {name: content}."""
    about = json.dumps({"name": "toy"} | ABOUT | {"files": NAMES}, indent=2).encode() + b"\n"
    return {FILE: IMAGES, NAMES["train_labels"]: LABELS, "dataset.json": about}


def failure(*tried):
    """The error after these (URL, reason) attempts to get the images."""
    return "\n".join(
        [
            f"could not get {FILE}. Tried:",
            *(f"  {url}: {reason}" for url, reason in tried),
            "To go on offline: put the file, gzipped or not, into a folder <mirror>/<data set>/ and run again with",
            "DATA_MIRROR=<mirror>, or set download.dataset to mnist-5k, which needs no network.",
        ]
    )


def respond(body=b"", status=200, length=None, **headers):
    """Answer every request so; `length`: what is said of the body's length, where that is a lie."""

    def answer(request):
        request.send_response(status)
        for name, value in ({"Content-Length": str(length or len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def redirect(url):
    """Answer every request with another place to look."""
    return respond(status=302, Location=url)


def paths(contents):
    """Answer each path with its content, and others with 404."""
    return lambda request: respond(*([contents[request.path]] if request.path in contents else [b"", 404]))(request)
