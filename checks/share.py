"""Share what was made through the remote storage, so that nobody has to run again what somebody has run.

python -m checks.share push|pull     exit code 0: done, 2: could not
"""

import argparse
import signal
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError
from dvc.exceptions import DvcException, UploadError
from dvc.fs import generic
from dvc.repo import Repo

from checks import remote
from checks.clone import CannotRunError


def push(repo: Repo) -> str:
    """Send what dvc.lock names, and what every run in the cache made. Raises UploadError where files did not arrive.

    `dvc push --run-cache` sends each run's record, but not what the run made, so that elsewhere it would run again.
    """
    sent = repo.push()
    records = [path for path in Path(repo.stage_cache.cache_dir).glob("*/*/*") if path.is_file()]
    runs = [(record.parent.name, record.name) for record in records]
    for objects in repo.stage_cache.get_used_objs(runs, force=True).values():
        done = repo.cloud.push(objects)
        if done.failed:
            raise UploadError(len(done.failed))
        sent += len(done.transferred)
    sent += _push_records(repo, records)
    return f"{sent} files sent: the remote {remote.name()} has all that was made here"


def _push_records(repo: Repo, records: list[Path]) -> int:
    """Send the records that the remote lacks. They come last: one without what its run made is of no use."""
    storage = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")  # whose folder is the remote's own
    places = {storage.fs.join(storage.path, "runs", *record.parts[-3:]): str(record) for record in records}
    there = set(storage.fs.find(storage.fs.join(storage.path, "runs")))
    for place in places.keys() - there:
        generic.copy(repo.cache.legacy.fs, places[place], storage.fs, place)
    return len(places.keys() - there)


def pull(repo: Repo) -> str:
    """Fetch what dvc.lock names, and every run's record; what a run made is fetched when it is needed."""
    fetched = repo.pull(run_cache=True)["stats"]["fetched"]
    return f"{fetched} files fetched. For other parameters, `dvc repro --pull` runs only what nobody has pushed"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.share", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("way", choices=("push", "pull"))
    way = parser.parse_args().way
    # Ctrl-C ends it without a traceback: each file is whole or not there, and the next try goes on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if not remote.name():
            raise CannotRunError("no remote is configured: `dvc remote add --default storage s3://bucket/folder`.")
        lacking = remote.ask()  # who is refused, or gets no answer, hears it in one line, and soon
        if "missing" in lacking.values():
            where = f"neither here nor on the remote {remote.name()}"
            raise CannotRunError(f"some of what dvc.lock names is {where}: `make check` says what, and what to do.")
        with Repo() as repo:
            said = push(repo) if way == "push" else pull(repo)
    except (CannotRunError, DvcException, OSError, BotoCoreError) as error:
        print(f"{way}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{way}: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
