"""Measure how much of a result is luck: run the pipeline for several seeds, and write metrics/noise.csv.

python -m checks.noise [--seeds N] [--splits]     exit code 0: written, 1: a run failed, 2: could not run
"""

import argparse
import sys
import tempfile
from pathlib import Path

from checks import revision, runs, signals
from checks.clone import CannotRunError, clone_of_work_tree, dvc
from checks.mend import CannotMendError, mend
from cnn.comparison import noise
from cnn.comparison.flat import flat, locked_params
from cnn.process.errors import InputError
from cnn.settings import params, strict_yaml
from cnn.storage import files

END_OF_SEEDS = 2**32  # a seed lies below it: cnn/settings/schema.py


def measure(count: int, varied: tuple[str, ...]) -> None:
    """Run the pipeline of the work tree for `count` values of the seeds `varied`; write noise.csv.

    The runs take place in a clone that shares the project's DVC cache. So each one that was finished, also before a
    kill, comes back from the run cache. Of the work tree nothing changes but noise.csv.
    """
    params.load_params()
    own = flat(strict_yaml.load_yaml(params.PARAMS)[0])
    with tempfile.TemporaryDirectory(prefix="noise-") as folder:
        clone = clone_of_work_tree(Path(folder, "clone"))
        mend(clone)
        dvc(clone, "checkout", "--quiet", "--allow-missing")  # the run cache lacks what came with `dvc pull`
        measured = []
        for number in range(count):
            seeds = {name: (own[name] + number) % END_OF_SEEDS for name in varied}
            measured.append(_run(clone, seeds, f"seed {number + 1} of {count}"))
        locked = locked_params(revision.stages(clone / "dvc.lock"))
    with files.whole(noise.NOISE, "w") as file:
        file.write(noise.table(measured, varied, locked))


def _run(clone: Path, seeds: dict[str, int], label: str) -> dict[str, float]:
    """Run the pipeline in the clone with these seeds. Prints a line; returns the metrics by their dotted names."""
    named = ", ".join(f"{name} {seed}" for name, seed in seeds.items())
    try:
        metrics, took = runs.run(clone, seeds)
    except runs.RunFailedError as error:
        raise runs.RunFailedError(
            f"{error}\nthe run with {named} failed, see above. Finished runs stay in DVC's cache."
        ) from None
    shown = next(name for name in metrics if name.endswith(".accuracy"))
    print(f"{label}: {named}  {shown.replace('.', ' ')} {metrics[shown]:.4f}  {took}", flush=True)
    return metrics


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.noise", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="5", metavar="N", help="how many values of train.seed (default: 5)")
    parser.add_argument("--splits", action="store_true", help="change preprocess.seed too: other images in each split")
    options = parser.parse_args()
    try:
        measure(
            runs.count(options.seeds, "SEEDS", 2, "make noise SEEDS=5"),
            ("train.seed", "preprocess.seed") if options.splits else ("train.seed",),
        )
    except (runs.RunFailedError, InputError, CannotRunError, CannotMendError) as error:
        print(f"noise: {error}", file=sys.stderr)
        return 1 if isinstance(error, runs.RunFailedError) else 2
    print(f"written: {noise.NOISE}")
    return 0


if __name__ == "__main__":
    signals.end_on_signals("noise")
    sys.exit(main())
