"""Say whether this machine can run the project. Standard library only: it runs before anything is installed."""

import os
import platform
import shutil
import sys

DISK = 4.5  # GB: the environment takes 3, and DVC keeps data and models
MEMORY = 3  # GB


def faults():
    """What is missing, a line each. Plain syntax: an old Python must come as far as the message."""
    gigabytes = 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / gigabytes
    disk = shutil.disk_usage(".").free / gigabytes
    if sys.version_info[:2] != (3, 11):
        yield f"expected Python 3.11. Received: {platform.python_version()}. Name one: make PYTHON=…/python3.11"
    if platform.system() != "Linux":
        yield f"expected Linux. Received: {platform.system()}."
    if disk < DISK:
        yield f"expected {DISK} GB of free disk space. Received: {disk:.1f} GB."
    if memory < MEMORY:
        yield f"expected {MEMORY} GB of memory. Received: {memory:.1f} GB."
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        yield "expected Python with venv and pip. Install it (in Debian: apt install python3-venv)."


if __name__ == "__main__":
    sys.exit("\n".join("this machine: " + fault for fault in faults()) or 0)
