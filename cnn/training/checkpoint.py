"""What a killed training needs to go on where it was, to the same bits; outside DVC's outputs, which DVC deletes."""

import hashlib
import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn.network import runtime
from cnn.process import machine
from cnn.storage import arrays, files

Row = dict[str, float | None]
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Progress:
    """How far a training has come. totals: summed loss and right answers of the epoch under way."""

    step: int = 0
    totals: tuple[float, float] = (0.0, 0.0)
    history: list[Row] = field(default_factory=list)


class Checkpoint:
    """The state of a training on disk: variables and progress. It knows when it was last kept."""

    def __init__(self, path: Path | None, seconds: float, variables: list[Any], key: str):
        """path: None keeps nothing. variables: TensorFlow's, read and assigned. key: `fingerprint` of the training."""
        self._path, self._seconds, self._variables, self._key = path, seconds, variables, key
        self._kept = time.monotonic()

    def keep(self, progress: Progress) -> None:
        """Write the state, whole or not at all."""
        if self._path:
            text = json.dumps({"key": self._key, "progress": asdict(progress)})
            content = io.BytesIO()
            values = [variable.numpy() for variable in self._variables]
            np.savez(content, *values, progress=np.frombuffer(text.encode(), np.uint8))
            with files.whole(self._path) as out:
                out.write(content.getbuffer())
                out.write(hashlib.sha256(content.getbuffer()).digest())
        self._kept = time.monotonic()

    def keep_when_due(self, progress: Progress) -> None:
        """Write the state where the last one is older than so many seconds."""
        if time.monotonic() - self._kept > self._seconds:
            self.keep(progress)

    def resume(self, chiefs: Callable[[bytes], bytes] = lambda content: content) -> Progress:
        """Assign the variables as they were kept. Where nothing fits, they stay as they are: the start.

        chiefs: from what this process has kept, nothing perhaps, to what is to be taken.
        A checkpoint that does not fit is set aside, and the reason printed.
        """
        content = chiefs(self._content())
        if not content:
            return Progress()
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for number, variable in enumerate(self._variables):
                variable.assign(archive[f"arr_{number}"])
            return Progress(**json.loads(archive["progress"].tobytes())["progress"])

    def _content(self) -> bytes:
        """What was kept, where it is this training's; else nothing."""
        if not self._path or not self._path.exists():
            return b""
        reason, content = "damaged", self._path.read_bytes()
        if hashlib.sha256(content[:-32]).digest() == content[-32:]:
            with np.load(io.BytesIO(content[:-32]), allow_pickle=False) as archive:
                if json.loads(archive["progress"].tobytes())["key"] == self._key:
                    return content[:-32]
            reason = "of other data, parameters, code or versions"
        aside = self._path.with_name(self._path.name + ".set-aside")
        os.replace(self._path, aside)
        print(f"train: the checkpoint is {reason}: set aside as {aside}, training from the start", flush=True)
        return b""


def fingerprint(data: list[NDArray], settings: list[str], anywhere: bool = False) -> str:
    """Hash all that decides the result: data, settings, our code that is loaded, versions, and the kernels chosen.

    anywhere: not the machine's name, where the bits are its own.
    """
    digest = hashlib.sha256("\0".join(settings).encode())
    for path in own_modules():
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    digest.update(f"python {platform.python_version()}".encode())
    for package in ("tensorflow", "keras", "numpy"):
        digest.update(f"{package} {version(package)}".encode())
    for name in (*runtime.REPEATABLE, *runtime.PORTABLE):
        digest.update(f"{name}={os.environ.get(name)}".encode())
    if runtime.PORTABLE.items() - os.environ.items():
        # These bits are this machine's own.
        digest.update(f"{'' if anywhere else platform.node()} {machine.cpu_model()} {_gpus()}".encode())
    for array in data:
        digest.update(f"{array.dtype} {array.shape}".encode())
        for piece in arrays.pieces(array):
            digest.update(piece.tobytes())
    return digest.hexdigest()


def _gpus() -> list[str]:
    """The models of the GPUs that TensorFlow uses. How many there are of each changes no bit."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return sorted({each["device_name"] for each in details})


def own_modules() -> list[Path]:
    """The project's own modules that this process has loaded."""
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("cnn", "stages", "__main__")]
    files_of_ours = (getattr(module, "__file__", None) for module in ours)
    paths = {Path(file).resolve() for file in files_of_ours if file}
    return sorted(path for path in paths if path.parent.is_relative_to(ROOT / "cnn") or path.parent == ROOT / "stages")
