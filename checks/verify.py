"""Derive a committed result again, and say whether every bit is the same.

python -m checks.verify [REVISION] [--json]     exit code 0: all equal, 1: something differs, 2: could not run
"""

import argparse
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from stages import runtime

MODEL = "data/model/model.keras"
METRICS = "metrics/metrics.json"


class CannotRunError(Exception):
    """The result could not be derived again, so nothing can be said about it."""


def verify(revision: str | None) -> dict[str, Any]:
    """Run the pipeline of a revision (default: HEAD) in a fresh clone; compare what it makes with what is committed."""
    if revision is None and (changed := git("status", "--porcelain")):
        raise CannotRunError(
            f"expected a clean work tree: what is not committed cannot be verified. Received:\n{changed}"
        )
    commit = git("rev-parse", "--verify", "--quiet", f"{revision or 'HEAD'}^{{commit}}").strip()
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        clone = clone_of(commit, Path(folder, "clone"))
        if not (clone / "dvc.lock").exists():
            raise CannotRunError(f"expected a committed dvc.lock in {commit[:12]}: run `dvc repro` and commit it.")
        before = read_outputs(clone)
        committed_metrics = (clone / METRICS).read_text() if (clone / METRICS).exists() else "{}"
        dvc(clone, "repro", "--force", "--no-run-cache")
        after = read_outputs(clone)
        rows = compare(before, after)
        report: dict[str, Any] = {"commit": commit, "equal": all(row["equal"] for row in rows), "outputs": rows}
        if not report["equal"]:
            report["first_stage_that_differs"] = next(row["stage"] for row in rows if not row["equal"])
            report["largest_metric_difference"] = metric_difference(committed_metrics, (clone / METRICS).read_text())
            committed_model = before.get(("train", MODEL))  # a damaged dvc.lock may know of none
            report["largest_weight_difference"] = committed_model and weight_difference(committed_model, clone / MODEL)
    return report | {"machine": fingerprint()}


def git(*arguments: str) -> str:
    """Run git. Raises CannotRunError with what it says."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"git {arguments[0]}: {done.stderr.strip() or 'no such revision'}")
    return done.stdout


def clone_of(commit: str, folder: Path) -> Path:
    """Clone a commit into a folder, with a DVC cache of its own: nothing made earlier can stand in for a result."""
    git("clone", "--quiet", "--no-checkout", ".", str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    dvc(folder, "config", "--local", "cache.dir", str(folder / ".dvc/cache"))
    return folder


def pipeline_environment() -> dict[str, str]:
    """The environment for DVC in a clone: this Python's own commands, and the mirror that is meant from here."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    mirror = os.environ.get("DATA_MIRROR", "")
    if mirror and "://" not in mirror:
        environment["DATA_MIRROR"] = str(Path(mirror).resolve())
    return environment


def dvc(clone: Path, *arguments: str) -> None:
    """Run DVC in a clone, its output on standard error. Raises CannotRunError where it fails."""
    done = subprocess.run(["dvc", *arguments], cwd=clone, env=pipeline_environment(), stdout=sys.stderr, check=False)
    if done.returncode:
        raise CannotRunError(f"`dvc {arguments[0]}` ended with exit code {done.returncode} in the clone; see above.")


def read_outputs(clone: Path) -> dict[tuple[str, str], list[str]]:
    """The md5 hashes of each output: (stage, path) to what dvc.lock says, and for a file in git what is in it."""
    stages = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
    tracked = set(git("-C", str(clone), "ls-files").splitlines())
    hashes = {}
    for name, stage in stages.items():
        for out in stage["outs"]:
            path = out["path"]
            hashes[(name, path)] = [out["md5"], *([md5(clone / path)] if path in tracked else [])]
        # All that the lock says besides: the command, the inputs' hashes, the parameters.
        rest = {key: value for key, value in stage.items() if key != "outs"}
        hashes[(name, "dvc.lock")] = [hashlib.md5(json.dumps(rest, sort_keys=True).encode()).hexdigest()]
    return hashes


def md5(path: Path) -> str:
    """The md5 of a file, as DVC takes it."""
    return hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else "missing"


def compare(before: dict[tuple[str, str], list[str]], after: dict[tuple[str, str], list[str]]) -> list[dict[str, Any]]:
    """A row an output, in the order of the stages. Equal: everything committed about it was made again."""
    order = list(dict.fromkeys([*after, *before]))
    rows = []
    for stage, path in order:
        committed = before.get((stage, path), ["missing"])
        reproduced = after.get((stage, path), ["missing"])
        # Where the file in git and dvc.lock disagree, show the one that is wrong.
        wrong = [one for one in committed if [one] * len(reproduced) != reproduced]
        shown = (wrong or committed)[0]
        row = {"stage": stage, "output": path, "committed": shown, "reproduced": reproduced[0]}
        rows.append(row | {"equal": committed == reproduced})
    return rows


def metric_difference(committed: str, reproduced: str) -> float:
    """The largest absolute difference between two metrics files; infinite where one lacks a metric."""
    one, other = (flat(json.loads(text)) for text in (committed, reproduced))
    if one.keys() != other.keys():
        return float("inf")
    return max((abs(one[key] - other[key]) for key in one), default=0.0)


def flat(node: Any, path: str = "") -> dict[str, float]:
    """Metrics by their dotted names."""
    if not isinstance(node, dict):
        return {path: node}
    return {key: value for name, child in node.items() for key, value in flat(child, f"{path}.{name}").items()}


def weight_difference(committed: list[str], reproduced: Path) -> float | None:
    """The largest absolute difference of a weight; None where the committed model is not on this machine."""
    digest = committed[0]
    places = [Path(MODEL), Path(".dvc/cache/files/md5", digest[:2], digest[2:])]
    found = next((place for place in places if md5(place) == digest), None)
    if found is None:
        return None
    one, other = read_weights(found), read_weights(reproduced)
    if {name: array.shape for name, array in one.items()} != {name: array.shape for name, array in other.items()}:
        return float("inf")
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a .keras file, by their names in it."""
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(lambda name, item: arrays.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return arrays


def fingerprint() -> dict[str, Any]:
    """What the machine is: all that could make a difference."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    cpu = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = cpu.get("flags", "").split()
    return {
        "cpu": cpu.get("model name", platform.processor()),
        "instructions": [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile") if flag in flags],
        "threads": runtime.threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "keras", "numpy", "dvc")},
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    width = max(len(row["output"]) for row in report["outputs"])
    lines = [f"{'stage':10}  {'output':{width}}  {'committed':12}  {'reproduced':12}  verdict"]
    for row in report["outputs"]:
        verdict = "equal" if row["equal"] else "DIFFERS"
        hashes = f"{row['committed'][:12]:12}  {row['reproduced'][:12]:12}"
        lines.append(f"{row['stage']:10}  {row['output']:{width}}  {hashes}  {verdict}")
    lines += ["", *(f"{key:12} {value}" for key, value in report["machine"].items()), ""]
    if report["equal"]:
        lines.append(f"verified: {report['commit'][:12]} makes all {len(report['outputs'])} outputs again, bit for bit")
    else:
        weights = report["largest_weight_difference"]
        lines.append(
            f"NOT verified: {report['commit'][:12]} differs from the stage '{report['first_stage_that_differs']}' on; "
            f"largest difference of a metric {report['largest_metric_difference']:.3g}, of a weight "
            f"{'unknown (the committed model is not on this machine)' if weights is None else f'{weights:.3g}'}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.verify", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revision", nargs="?", help="a commit, branch or tag (default: HEAD, with a clean work tree)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    try:
        report = verify(options.revision)
    except CannotRunError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=2) if options.json else table(report))
    return 0 if report["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
