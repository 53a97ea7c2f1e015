"""Measure how much of a result is luck: run the pipeline for several seeds, and write metrics/noise.csv.

python -m checks.noise [--seeds N] [--splits]     exit code 0: written, 1: a run failed, 2: could not run
"""

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from checks import revision
from checks.attempt import Attempt
from checks.clone import CannotRunError, clone_of_work_tree, dvc
from checks.mend import CannotMendError, mend
from cnn.comparison import noise
from cnn.comparison.flat import flat, locked_params
from cnn.process.errors import InputError
from cnn.settings import params, strict_yaml
from cnn.storage import files
from cnn.storage.paths import METRICS

END_OF_SEEDS = 2**32  # a seed lies below it: cnn/settings/schema.py
MOST = 10_000  # seeds


class RunFailedError(Exception):
    """A run of the pipeline ended with a fault. Says which, and what DVC and the stage said."""


def measure(count: int, varied: tuple[str, ...]) -> None:
    """Run the pipeline of the work tree for `count` values of the seeds `varied`; write noise.csv.

    The runs take place in a clone that shares the project's DVC cache. So each one that was finished, also before a
    kill, comes back from the run cache. Of the work tree nothing changes but noise.csv.
    """
    params.load_params()
    document, _ = strict_yaml.load_yaml(params.PARAMS)
    own = flat(document)
    with tempfile.TemporaryDirectory(prefix="noise-") as folder:
        clone = clone_of_work_tree(Path(folder, "clone"))
        mend(clone)
        dvc(clone, "checkout", "--quiet", "--allow-missing")  # the run cache lacks what came with `dvc pull`
        runs = []
        for number in range(count):
            seeds = {name: (own[name] + number) % END_OF_SEEDS for name in varied}
            runs.append(_run(clone, document, seeds, f"seed {number + 1} of {count}"))
        locked = locked_params(revision.stages(clone / "dvc.lock"))
    with files.whole(noise.NOISE, "w") as file:
        file.write(noise.table(runs, varied, locked))


def _run(clone: Path, document: dict[str, Any], seeds: dict[str, int], label: str) -> dict[str, float]:
    """Run the pipeline in the clone with these seeds. Prints a line; returns the metrics by their dotted names."""
    for name, seed in seeds.items():
        section, _, key = name.partition(".")
        document[section][key] = seed
    named = ", ".join(f"{name} {seed}" for name, seed in seeds.items())
    (clone / params.PARAMS).write_text(json.dumps(document))  # JSON is YAML, and leaves no doubt what is text
    started = time.monotonic()
    with Attempt(clone) as attempt:
        failed = attempt.process.wait()
        said = attempt.log.read_text()
    if failed:
        raise RunFailedError(f"{said}\nthe run with {named} failed, see above. Finished runs stay in DVC's cache.")
    metrics = flat(json.loads((clone / METRICS).read_text()))
    shown = next(name for name in metrics if name.endswith(".accuracy"))
    took = f"{time.monotonic() - started:.0f} s" if "Running stage" in said else "from the run cache"
    print(f"{label}: {named}  {shown.replace('.', ' ')} {metrics[shown]:.4f}  {took}", flush=True)
    return metrics


def _count(text: str) -> int:
    """How many seeds. Raises InputError where the text is no such number."""
    if re.fullmatch(r"[0-9]{1,9}", text) and 2 <= int(text) <= MOST:
        return int(text)
    raise InputError(f"SEEDS: expected a whole number from 2 to {MOST}. Received: {text!r}. Try: make noise SEEDS=5")


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    print(f"\nnoise: stopped by {signal.Signals(number).name}. Run it again to go on.", file=sys.stderr)
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.noise", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="5", metavar="N", help="how many values of train.seed (default: 5)")
    parser.add_argument("--splits", action="store_true", help="change preprocess.seed too: other images in each split")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        measure(_count(options.seeds), ("train.seed", "preprocess.seed") if options.splits else ("train.seed",))
    except (RunFailedError, InputError, CannotRunError, CannotMendError) as error:
        print(f"noise: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunFailedError) else 2
    print(f"written: {noise.NOISE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
