"""Derive a committed result again, and say whether every bit is the same.

python -m checks.verify [REVISION] [--json]     exit code 0: all equal, 1: something differs, 2: could not run
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from checks import installed, local_data, revision, signals, verify_report
from checks.clone import CannotRunError, clone_of, dvc, git, md5
from checks.differences import metric_difference, weight_difference
from cnn.comparison.noise import NOISE
from cnn.storage.paths import LOCAL, METRICS, MODEL

Hashes = dict[tuple[str, str], list[str]]  # (stage, path) to the md5 hashes that must all be made again


def verify(name: str | None) -> dict[str, Any]:
    """Run the pipeline of a revision (default: HEAD) in a fresh clone; compare what it makes with what is committed.

    All outputs, metrics/ and dvc.lock are taken out of the clone first: what is there at the end was made by this run.
    Only noise.csv stays, which no stage makes: it is named, and has no part in the verdict.
    """
    if name is None and (changed := git("status", "--porcelain")):
        raise CannotRunError(
            f"expected a clean work tree: what is not committed cannot be verified. Received:\n{changed}"
        )
    commit = git("rev-parse", "--verify", "--quiet", f"{name or 'HEAD'}^{{commit}}").strip()
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        clone = clone_of(commit, Path(folder, "clone"))
        lock = clone / "requirements.txt"
        versions = installed.differences(lock) if lock.exists() else ["requirements.txt: the revision has none."]
        for line in versions:
            print(f"verify: {line}", file=sys.stderr)
        report: dict[str, Any] = {
            "commit": commit,
            "versions": versions,
            "faults": revision.faults(clone) or local_data.lend(clone),
            "outputs": [],
            "not_derived": [str(NOISE)] if (clone / NOISE).exists() else [],
        }
        if not report["faults"]:
            report |= _run(clone)
    report["equal"] = not report["faults"] and all(row["equal"] for row in report["outputs"])
    return report | {"machine": verify_report.fingerprint()}


def _run(clone: Path) -> dict[str, Any]:
    """Make everything again in the clone, and compare."""
    before = read_outputs(clone)
    committed_metrics = (clone / METRICS).read_text() if (clone / METRICS).exists() else ""
    for _, path in before:
        if not path.startswith(f"{LOCAL}/"):
            remove(clone / path)
    for result in (clone / METRICS.parent).glob("*"):
        if result != clone / NOISE:
            remove(result)
    dvc(clone, "repro", "--force", "--no-run-cache")
    after = read_outputs(clone)
    report: dict[str, Any] = {"outputs": [*compare(before, after), *_unlike_git(clone, {*before, *after})]}
    wrong = [row for row in report["outputs"] if not row["equal"]]
    if wrong:
        made_metrics = (clone / METRICS).read_text() if (clone / METRICS).exists() else ""
        report["first_stage_that_differs"] = wrong[0]["stage"]
        report["largest_metric_difference"] = metric_difference(committed_metrics, made_metrics)
        model = before.get(("train", str(MODEL)))
        report["largest_weight_difference"] = model and weight_difference(model[0], clone / MODEL)
    return report


def read_outputs(clone: Path) -> Hashes:
    """The md5 hashes of what was made: each output as dvc.lock and, where it is a file in git, the file itself has it.

    All else under metrics/ stands under "(no stage)", and the rest of dvc.lock under each stage.
    """
    tracked = set(git("-C", str(clone), "ls-files", "-z").split("\0"))
    hashes: Hashes = {}
    for name, stage in revision.stages(clone / "dvc.lock").items():
        hashes |= {(name, path): [md5] for path, md5 in local_data.of_stage(stage, tracked).items()}
        for out in stage.get("outs", []):
            path = out["path"]
            hashes[(name, path)] = [str(out.get("md5")), *([md5(clone / path)] if path in tracked else [])]
        rest = {key: value for key, value in stage.items() if key != "outs"}  # the command, inputs, parameters
        hashes[(name, "dvc.lock")] = [hashlib.md5(json.dumps(rest, sort_keys=True).encode()).hexdigest()]
    made = {path for _, path in hashes}
    for file in sorted((clone / METRICS.parent).rglob("*")):
        path = str(file.relative_to(clone))
        if not file.is_dir() and path not in {*made, str(NOISE)}:
            hashes[("(no stage)", path)] = [md5(file)]
    return hashes


def remove(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compare(before: Hashes, after: Hashes) -> list[dict[str, Any]]:
    """A row an output, in the order of the stages. Equal: everything committed about it was made again."""
    rows = []
    for stage, path in dict.fromkeys([*after, *before]):
        committed = before.get((stage, path), ["missing"])
        reproduced = after.get((stage, path), ["missing"])
        # Where the file in git and dvc.lock disagree, show the one that is wrong.
        wrong = [one for one in committed if [one] * len(reproduced) != reproduced]
        shown = (wrong or committed)[0]
        row = {"stage": stage, "output": path, "committed": shown, "reproduced": reproduced[0]}
        rows.append(row | {"equal": committed == reproduced and "missing" not in reproduced})
    return rows


def _unlike_git(clone: Path, compared: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """A row for each file that is not as git has it after the run, and was not compared as an output."""
    known = {path for _, path in compared}
    changed = [line[3:] for line in git("-C", str(clone), "status", "--porcelain", "-z", "-uall").split("\0") if line]
    row = {"stage": "(git)", "committed": "as in git", "reproduced": "otherwise", "equal": False}
    return [row | {"output": path} for path in changed if path not in known]


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
    print(json.dumps(report, indent=2) if options.json else verify_report.table(report))
    return 0 if report["equal"] else 1


if __name__ == "__main__":
    signals.end_on_signals("verify")
    sys.exit(main())
