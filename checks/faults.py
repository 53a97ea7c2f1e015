"""Kill the running pipeline again and again, and see whether it still ends with the same bits.

python -m checks.faults [--kills N] [--seed S]     exit code 0: all equal, 1: something differs, 2: could not run
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from checks import local_data, signals
from checks.attempt import KILLS, Attempt
from checks.clone import CannotRunError, clone_of, md5
from checks.mend import CannotMendError
from checks.verify import read_outputs
from cnn.storage.paths import LOCAL

KILLS_A_ROUND = 4  # then the pipeline is let through to its end, and begun anew


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
    for command in (
        ["reset", "--quiet", "--hard"],
        ["clean", "--quiet", "-fdx", "--exclude=.dvc/config.local", f"--exclude={LOCAL}"],
    ):
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
            if missing := local_data.lend(clone):
                raise CannotRunError("\n".join(missing))
            different, rounds = inject(clone, options.kills, options.seed)
    except (CannotRunError, CannotMendError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    print(
        f"\n{options.kills} kills injected in {rounds} runs; {rounds - different} of {rounds} ended with all bits equal"
    )
    return 1 if different else 0


if __name__ == "__main__":
    signals.end_on_signals("faults")
    sys.exit(main())
