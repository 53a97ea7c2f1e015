"""Pictures become the same arrays on other CPUs, under user-mode emulation; and what the emulated process runs."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny

QEMU = shutil.which("qemu-x86_64")
ENDINGS = {"png": {}, "jpg": {"quality": 80}, "webp": {"quality": 80}, "gif": {}, "tif": {"compression": "jpeg"}}


@pytest.mark.slow
@pytest.mark.skipif(not QEMU, reason="needs qemu-user (in Debian: apt install qemu-user)")
@pytest.mark.parametrize("cpu", ["Haswell", "EPYC-Milan", "Nehalem"])
def test_another_cpu_reads_the_same_pixels(tmp_path: Path, cpu: str) -> None:
    draw(tmp_path)
    native = run([sys.executable], tmp_path)
    assert len(set(native.values())) == len(native) == 2 * 3 * 2 * len(ENDINGS)
    assert run([str(QEMU), "-cpu", cpu, sys.executable], tmp_path) == native


def draw(folder: Path) -> None:
    """Write pictures of each format, of smooth colours and noise, with a transparent one among them."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number, (height, width) in enumerate(((61, 47), (33, 90))):
        smooth = np.add.outer(np.arange(height) * 2.0, np.arange(width))[..., None] * [0.9, 0.5, 1.3]
        values = (smooth + random.normal(0, 25, (height, width, 3))).clip(0, 255).astype(np.uint8)
        for ending, options in ENDINGS.items():
            picture = Image.fromarray(values)
            if ending == "png":
                picture.putalpha(Image.fromarray(values[..., 0]))
            picture.save(folder / f"{number}.{ending}", **options)


def run(python: list[str], folder: Path) -> dict[str, str]:
    """Run `main` in a process of its own: what was read, to the hash of its pixels."""
    command = [*python, "-m", "tests.test_portable_pictures", str(folder)]
    done = subprocess.run(command, env=tiny.environment(), stdout=subprocess.PIPE, check=True, timeout=600)
    return json.loads(done.stdout)


def main(folder: Path) -> None:
    """Read each picture in each way."""
    from cnn.datasets import pictures

    hashes = {}
    for fit in ("pad", "crop", "stretch"):
        for channels in (1, 3):
            options = tiny.preprocess_options(28, 40, channels, fit=fit)
            for path in sorted(folder.iterdir()):
                pixels = pictures.read(str(path), options)
                hashes[f"{fit} {channels} {path.name}"] = hashlib.sha256(pixels.tobytes()).hexdigest()
    print(json.dumps(hashes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
