"""Is one result better than another? Paired by image, with what is luck said.

python -m checks.compare [A] [B]            default: HEAD against the work tree
python -m checks.compare A B C …            a ranking; --experiments: of HEAD and all of DVC's experiments on it

A, B: a commit, branch, tag or DVC experiment. Validation decides; --test shows the test images as well.
Exit code 0; 1: evidence that B is worse, with --fail-on worse; 2: could not compare.
"""

import argparse
import json
import sys
from pathlib import PurePath
from typing import Any

from checks import compare_text, ranked
from checks.signals import end_silently
from cnn.comparison import git, noise, revisions, verdict
from cnn.comparison.flat import differences
from cnn.comparison.revisions import Result
from cnn.comparison.verdict import Comparison
from cnn.process.errors import InputError

OF_TEST = {"confusion.png"}  # the pictures that show the test as well; without validation images, all do


def pair(a: Result, b: Result, splits: list[str]) -> dict[str, Any]:
    """All that is said of two results, as JSON has it."""
    known, lack = noise.of([a.params, b.params], splits)
    pictures = [path for path in b.outputs if path.endswith(".png") and b.outputs[path] != a.outputs.get(path)]
    if "test" not in splits:
        validated = all("validation" in set(result.predictions["split"]) for result in (a, b))
        pictures = [path for path in pictures if validated and PurePath(path).name not in OF_TEST]
    compared = [split_of(a, b, verdict.compare(a, b, split, known)) for split in splits]
    return {
        "a": a.name,
        "b": b.name,
        "commits": [a.commit, b.commit],
        "verdict": compared[0]["verdict"],
        "notes": verdict.doubts([a, b]) + [lack] * bool(lack),
        "parameters": differences(a.params, b.params),
        "inputs": [row["name"] for row in differences(a.inputs, b.inputs)],
        "splits": compared,
        "pictures": pictures,
    }


def split_of(a: Result, b: Result, comparison: Comparison) -> dict[str, Any]:
    """What is said of one split."""
    rows = []
    for row in comparison.metrics:
        limits = {
            f"{name}_{end}": result.details[comparison.split, row.metric][end]
            for name, result in {"a": a, "b": b}.items()
            for end in ("low", "high")
        }
        rows.append(row._asdict() | limits)
    changed = [
        row | {name: b.classes[row[name]] for name in ("actual", "a", "b")}
        for row in comparison.changed.to_dict("records")
    ]
    said = {name: getattr(comparison, name) for name in ("split", "verdict", "reason", "p_value")}
    return said | comparison.paired._asdict() | {"metrics": rows, "changed": changed}


def options_of(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m checks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION")
    parser.add_argument("--experiments", action="store_true", help="rank HEAD and all of DVC's experiments on it")
    parser.add_argument("--test", action="store_true", help="show the test images too: for the final number")
    parser.add_argument("--fail-on", choices=["worse"], help="exit with 1 where there is evidence of it")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true")
    form.add_argument("--json", action="store_true")
    parser.add_argument("--pictures", metavar="URL", help="with --markdown: where /COMMIT/PATH is a picture's address")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    options = options_of(words)
    names: list[str | None] = [*options.revisions]
    splits = ["validation", "test"] if options.test else ["validation"]
    try:
        begun: dict[str, str] = {}  # experiments, which may be called like a branch: so found by their commits
        if options.experiments:
            head = git.commit_of("HEAD")
            begun = {name: commit for (baseline, name), commit in sorted(git.experiments().items()) if baseline == head}
            names = list(dict.fromkeys(["HEAD", *names, *begun]))
        elif len(names) < 2:
            names = [*(names or ["HEAD"]), None]
        if options.fail_on and len(names) > 2:
            raise InputError(
                f"--fail-on: expected two results. Received: {len(names)}. Name the two: A B --fail-on worse."
            )
        results = [revisions.read(name) for name in names if name not in begun]
        experiments, lacking = ranked.read_all(begun)
        results += experiments
        report = pair(results[0], results[1], splits) if len(results) == 2 else ranked.several(results, splits)
        report["notes"] += lacking
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(
        json.dumps(report, indent=2, allow_nan=False)
        if options.json
        else compare_text.text(report, options.markdown, options.pictures)
    )
    return int(options.fail_on is not None and report.get("verdict") == verdict.WORSE)


if __name__ == "__main__":
    end_silently()
    sys.exit(main())
