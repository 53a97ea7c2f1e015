"""Kill the running pipeline again and again, and see whether it still ends with the same bits.

python -m checks.faults [--kills N] [--seed S]     exit code 0: all equal, 1: something differs, 2: could not run
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from checks.clone import CannotRunError, clone_of, dvc_environment, md5
from checks.mend import CannotMendError, mend
from checks.verify import read_outputs

KILLS_A_ROUND = 4  # then the pipeline is let through to its end, and begun anew
# What is sent, and to whom. "dvc": to DVC alone, which leaves the stage an orphan.
KILLS = {"all KILL": signal.SIGKILL, "dvc KILL": signal.SIGKILL, "dvc TERM": signal.SIGTERM}
PATIENCE = 30  # seconds for DVC to end after a signal


class Attempt:
    """One `dvc repro` in a process group of its own, of which nothing is left at the end of the `with` block."""

    def __init__(self, clone: Path):
        self.mended = mend(clone)  # as `make run` does
        # A log of its own: an orphan of an earlier attempt may write still.
        descriptor, log = tempfile.mkstemp(prefix="attempt-", suffix=".log", dir=clone.parent)
        self.log = Path(log)
        self.process = subprocess.Popen(
            ["dvc", "repro"],
            cwd=clone,
            env=dvc_environment(clone),
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while members(self.process.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(0.02)
        self.process.wait()

    def kill_after(self, seconds: float, kill: str) -> bool:
        """End it in one of the ways of KILLS. False where it ended before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return False
        if kill.startswith("all"):
            os.killpg(self.process.pid, KILLS[kill])
        else:
            self.process.send_signal(KILLS[kill])
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"DVC did not end within {PATIENCE} s of a {KILLS[kill].name}.") from None
        return True

    def stage(self) -> str:
        """The stage that ran last."""
        return (re.findall(r"Running stage '(\w+)'", self.log.read_text()) or ["(start)"])[-1]

    def note(self) -> str:
        """What was mended, and what train said of its checkpoint."""
        found = re.search(r"going on from step [\d,]+ of [\d,]+|the checkpoint is .*", self.log.read_text())
        return "; ".join(self.mended + ([found[0]] if found else []))


def members(group: int) -> list[int]:
    """The processes of a process group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def results(clone: Path) -> dict[tuple[str, str], list[str]]:
    """The hashes of all outputs, as DVC and git see them."""
    hashes = read_outputs(clone)
    return {
        key: [*value, md5(clone / key[1])] if (clone / key[1]).is_file() else value for key, value in hashes.items()
    }


def inject(clone: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill `kills` times, go on each time. Returns the rounds that ended with other bits, and those that ended."""
    started = time.monotonic()
    with Attempt(clone) as attempt:
        if attempt.process.wait():
            raise CannotRunError(f"the undisturbed run failed: {attempt.log.read_text()[-2000:]}")
    duration = time.monotonic() - started
    expected = results(clone)
    print(f"undisturbed: {duration:.0f} s; {kills} kills, seed {seed}", flush=True)
    print("\n kill  after  signal    in            then", flush=True)
    chance, done, rounds, different = random.Random(seed), 0, 0, 0
    while done < kills:
        start_over(clone)
        with ExitStack() as attempts:
            for _ in range(KILLS_A_ROUND):
                attempt = attempts.enter_context(Attempt(clone))
                moment, kill = chance.uniform(0, duration), chance.choice(list(KILLS))
                if done == kills or not attempt.kill_after(moment, kill):
                    break
                done += 1
                print(f"{done:5}  {moment:4.1f}s  {kill}  {attempt.stage():12}  {attempt.note()}", flush=True)
            else:
                attempt = attempts.enter_context(Attempt(clone))
            code = attempt.process.wait()
            equal = not code and results(clone) == expected
        rounds += 1
        different += not equal
        note = "bits equal" if equal else "BITS DIFFER"
        if code:
            note = f"ended with exit code {code}: {attempt.log.read_text()[-800:]}"
        print(f"  end                                 {'; '.join(filter(None, [attempt.note(), note]))}", flush=True)
    return different, rounds


def start_over(clone: Path) -> None:
    """Bring the clone back to its commit, without anything made since, the cache included."""
    for command in (["reset", "--quiet", "--hard"], ["clean", "--quiet", "-fdx", "--exclude=.dvc/config.local"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    shutil.rmtree(clone / ".dvc/cache", ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            clone = clone_of("HEAD", Path(folder, "clone"))
            different, rounds = inject(clone, options.kills, options.seed)
    except (CannotRunError, CannotMendError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    print(
        f"\n{options.kills} kills injected in {rounds} runs; {rounds - different} of {rounds} ended with all bits equal"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
