"""Say whether what is committed is true, and what is here belongs to it.

python -m checks.status [--base REVISION] [--offline] [--json]     exit code 0: it is, 1: a fault, 2: could not judge
"""

import argparse
import json
import sys
from collections.abc import Iterator

from checks import committed, gates, pipeline, remote, revision, state
from checks.clone import CannotRunError
from checks.signals import end_silently
from cnn.comparison import noise
from cnn.comparison.flat import locked_params
from cnn.process.errors import InputError
from cnn.settings import params

NOTE = "note"  # a finding that is no fault
Finding = tuple[str, str]  # its kind, and what is to be said of it


def findings(base: str | None, offline: bool) -> Iterator[Finding]:
    """All faults and notes. Raises CannotRunError or InputError where something cannot be judged."""
    yield from (wrong := list(_params_findings()))
    if lines := committed.lock_faults():
        yield from _each("dvc.lock edited", lines)
        yield NOTE, "nothing else was judged: it needs dvc.lock"
        return
    yield from _each("dvc.yaml wrong", pipeline.faults())
    locked = revision.stages(committed.LOCK)
    yield from _each("dvc.lock edited", committed.contradictions(locked))
    yield from _each("metrics not those of dvc.lock", committed.other_metrics(locked))
    yield from _each("output not in git", committed.not_in_git(locked))
    yield from _gate_findings(base)
    yield from _noise_findings(locked)
    if wrong:
        yield NOTE, f"DVC was not asked what is stale: first mend {params.PARAMS}"
    else:
        yield from _state_findings(locked)
        yield from _remote_findings(locked, offline)


def _each(kind: str, lines: list[str]) -> Iterator[Finding]:
    return ((kind, line) for line in lines)


def _params_findings() -> Iterator[Finding]:
    try:
        params.load_params()
    except InputError as error:
        yield "parameters invalid", str(error)


def _gate_findings(base: str | None) -> Iterator[Finding]:
    try:
        bounds, details = gates.load_gates(), gates.read_details()
    except InputError as error:
        yield "gates invalid", str(error)
        return
    yield from _each("gates invalid", unknown := gates.unknown(bounds, details))
    yield from _each("gate broken", gates.broken(bounds, details))
    if base and not unknown:
        broken, unjudged = gates.regressed(bounds, base)
        yield from [*_each("gate broken", broken), *_each(NOTE, unjudged)]
    elif bounds.regressions and not base:
        yield NOTE, "regressions were not judged: `make check BASE=main` judges them against main"


def _noise_findings(locked: revision.Stages) -> Iterator[Finding]:
    if not noise.NOISE.exists():
        return
    try:
        if not noise.read(noise.NOISE.read_text(encoding="utf-8", errors="replace")).is_of(locked_params(locked)):
            yield NOTE, f"{noise.NOISE} was measured for other parameters than those of dvc.lock: `make noise`"
    except InputError as error:
        yield "noise invalid", str(error)


def _state_findings(locked: revision.Stages) -> Iterator[Finding]:
    answer = state.ask()
    yield from _each("pipeline stale", state.stale(answer, locked))
    yield from _each("outputs missing", state.missing(answer, locked))
    yield from _each("dvc.lock edited", state.edited(answer, locked))
    if not state.any_data(locked):
        yield NOTE, "nothing has been made here yet: `make run`"


def _remote_findings(locked: revision.Stages, offline: bool) -> Iterator[Finding]:
    if not remote.name():
        return
    if offline:
        yield NOTE, f"the remote {remote.name()} was not asked whether it has the outputs"
        return
    try:
        yield from _each("output not pushed", remote.not_pushed(locked))
    except CannotRunError as error:
        raise CannotRunError(f"{error} To judge the rest alone: `make check OFFLINE=1`.") from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.status", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", metavar="REVISION", help="judge regressions too, against this revision's result")
    parser.add_argument(
        "--offline", action="store_true", help="do not ask the remote storage whether it has the outputs"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args()
    found: list[Finding] = []
    unjudged = ""
    try:
        for finding in findings(options.base, options.offline):
            found.append(finding)  # what was found before something could not be judged is said all the same
    except (CannotRunError, InputError, OSError, SyntaxError) as error:
        unjudged = str(error)
    faults = [{"kind": kind, "message": message} for kind, message in found if kind != NOTE]
    notes = [message for kind, message in found if kind == NOTE]
    if options.json:
        print(json.dumps({"faults": faults, "notes": notes}, indent=2))
    else:
        for kind, message in found:
            print(f"{kind}: {message}")
    if unjudged:
        print(f"status: {unjudged}", file=sys.stderr)
    elif not faults and not options.json:
        print("status: parameters, code, dvc.yaml, dvc.lock, outputs, metrics/ and gates agree")
    return 1 if faults else 2 if unjudged else 0


if __name__ == "__main__":
    end_silently()
    sys.exit(main())
