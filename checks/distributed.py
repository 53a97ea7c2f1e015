"""Train with several processes on this machine, which meet over loopback, and compare every bit with one.

python -m checks.distributed [--workers N]     exit code 0: the same bits, 1: others, 2: could not run
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from checks.clone import CannotRunError, environment, md5
from cnn.process import errors
from cnn.settings import params
from cnn.storage import paths

OUTPUTS = (paths.MODEL, paths.HISTORY)


def tasks(count: int) -> list[str]:
    """TF_CONFIG of each of so many workers, the chief's first, on ports of this machine that are free."""
    with ExitStack() as sockets:
        free = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in free]
    every = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [json.dumps(one) for one in every]


def train(count: int, folder: Path) -> list[str]:
    """Train in a folder of its own, with so many processes. Returns the outputs' hashes. Raises CannotRunError."""
    (folder / "data").mkdir(parents=True)
    for name in ("params.yaml", "data/sources.yaml"):
        shutil.copy(name, folder / name)
    (folder / paths.PROCESSED).symlink_to(paths.PROCESSED.resolve())
    processes: list[subprocess.Popen] = []
    logs = [folder / f"worker-{index}.log" for index in range(count)]
    started = time.monotonic()
    try:
        for task, log in zip(tasks(count), logs, strict=True):
            variables = environment() | {"TF_CONFIG": task, "PYTHONPATH": os.getcwd()}
            with open(log, "w") as out:
                command = [sys.executable, "-m", "stages.train"]
                processes.append(subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=out))
        failed = [log for process, log in zip(processes, logs, strict=True) if process.wait()]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if failed:
        lines = dict.fromkeys(log.read_text().rstrip().rpartition("\n")[2] for log in failed)  # all may say the same
        raise CannotRunError("\n".join(lines))
    hashes = [md5(folder / path) for path in OUTPUTS]
    print(f"{count:7}  {time.monotonic() - started:5.0f} s  {'  '.join(hashes)}", flush=True)
    return hashes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.distributed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    if (count := parser.parse_args().workers) < 1:
        parser.error(f"--workers: expected at least 1. Received: {count}.")
    try:
        if not paths.PROCESSED.is_dir():
            raise CannotRunError(f"expected {paths.PROCESSED}. Received: none. Make it: dvc repro preprocess")
        options = params.load_params().train
        most = min(options.shards, options.batch_size)
        if count > most:
            raise CannotRunError(
                f"--workers: expected at most {most}, a shard of each batch for each. Received: {count}. "
                "Take fewer, or raise train.shards and train.batch_size."
            )
        print(f"workers     time  {'  '.join(f'{path!s:32}' for path in OUTPUTS)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="distributed-") as folder:
            one, several = (train(number, Path(folder, str(number))) for number in (1, count))
    except (CannotRunError, errors.InputError) as error:
        print(f"distributed: {error}", file=sys.stderr)
        return 2
    print("the same bits" if one == several else "OTHER BITS")
    return 0 if one == several else 1


if __name__ == "__main__":
    with errors.reported("distributed"):
        sys.exit(main())
