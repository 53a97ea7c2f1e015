"""One's own images for a clone: they are in no commit, so they are copied from the work tree."""

import shutil
from pathlib import Path

from checks import revision
from checks.clone import git
from cnn.storage.paths import LOCAL


def of_stage(stage: dict, tracked: set[str]) -> dict[str, str]:
    """What a stage of dvc.lock reads of one's own images: path to md5. What git holds itself is none of them."""
    own = {dep["path"]: str(dep.get("md5")) for dep in stage.get("deps") or [] if dep["path"].startswith(f"{LOCAL}/")}
    return {path: md5 for path, md5 in own.items() if not any(file.startswith(f"{path}/") for file in tracked)}


def lend(clone: Path) -> list[str]:
    """Copy one's own images that the revision in a clone reads, from the work tree. A line for each that is not there.

    A copy, so that nothing that happens in the clone can change them.
    """
    if not (clone / "dvc.lock").exists():  # it has never run: what it will read is not known
        return []
    tracked = set(git("-C", str(clone), "ls-files", "-z").split("\0"))
    missing = []
    for stage in revision.stages(clone / "dvc.lock").values():
        for path in of_stage(stage, tracked):
            if Path(path).is_dir():
                shutil.copytree(path, clone / path, symlinks=True)
            else:
                missing.append(
                    f"{path}: expected the images that the revision was made of. Received: none. `dvc pull`."
                )
    return missing
