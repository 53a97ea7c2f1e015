"""Say whether this machine can run the project. Standard library only: it runs before anything is installed.

python checks/machine.py [--python]     --python: of this Python alone; prints the path of the one that it comes from
"""

import os
import platform
import shutil
import sys

PYTHONS = (3, 11), (3, 12), (3, 13)
DISK = 4.5  # GB: the environment takes 3, and DVC keeps data and models
MEMORY = 3  # GB


def faults_of_python():
    """What this Python lacks, a line each. Plain syntax: an old Python must come as far as the message."""
    if sys.version_info[:2] not in PYTHONS:
        yield (
            f"expected Python 3.11, 3.12 or 3.13. Received: {platform.python_version()}. "
            "Name one: make PYTHON=…/python3.12"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        yield "expected Python with venv and pip. Install it (in Debian: apt install python3-venv)."


def faults():
    """What is missing, a line each."""
    yield from faults_of_python()
    gigabytes = 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / gigabytes
    disk = shutil.disk_usage(".").free / gigabytes
    if platform.system() != "Linux":
        yield f"expected Linux. Received: {platform.system()}."
    if disk < DISK:
        yield f"expected {DISK} GB of free disk space. Received: {disk:.1f} GB."
    if memory < MEMORY:
        yield f"expected {MEMORY} GB of memory. Received: {memory:.1f} GB."


def base():
    """The Python that this one comes from: an environment's is removed with the environment, a shim names another."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


if __name__ == "__main__":
    only_python = sys.argv[1:] == ["--python"]
    found = ["this machine: " + fault for fault in (faults_of_python() if only_python else faults())]
    sys.exit("\n".join(found) or (print(base()) if only_python else None))
