"""What a killed training needs to go on where it was, to the same bits; outside DVC's outputs, which DVC deletes."""

import hashlib
import json
import os
import platform
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import dataset, files, runtime

State = dict[str, Any]
CODE = ("augment", "checkpoint", "model", "runtime", "train")  # the modules that decide the result


def fingerprint(arrays: list[NDArray], settings: list[str]) -> str:
    """Hash all that determines the result: data, settings, code, versions, and the kernels chosen."""
    digest = hashlib.sha256("\0".join(settings).encode())
    for name in CODE:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    for package in ("tensorflow", "keras", "numpy"):
        digest.update(f"{package} {version(package)}".encode())
    for name in (*runtime.REPEATABLE, *runtime.PORTABLE):
        digest.update(f"{name}={os.environ.get(name)}".encode())
    if runtime.PORTABLE.items() - os.environ.items():
        digest.update(platform.node().encode())  # these bits are this machine's own
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):  # a piece at a time: the array may be larger than memory
            digest.update(array[start : start + 4096].tobytes())
            dataset.release(array)
    return digest.hexdigest()


def save(path: Path, key: str, variables: list[NDArray], state: State) -> None:
    """Write a checkpoint, whole or not at all. state: anything JSON can say."""
    text = json.dumps({"key": key, "state": state})
    with files.whole(path) as out:
        np.savez(out, *variables, state=np.frombuffer(text.encode(), np.uint8))


def load(path: Path, key: str) -> tuple[list[NDArray], State] | None:
    """Read a checkpoint: (variables, state). None where there is none; one that does not fit is set aside."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:  # the zip format's checksums guard each array
            document = json.loads(archive["state"].tobytes())
            variables = [archive[f"arr_{number}"] for number in range(len(archive.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        reason = "damaged"
    else:
        if document["key"] == key:
            return variables, document["state"]
        reason = "of other data, parameters or code"
    aside = path.with_name(path.name + ".set-aside")
    os.replace(path, aside)
    print(f"train: the checkpoint is {reason}: set aside as {aside}, training from the start", flush=True)
    return None
