"""Compare what is installed with a lock file."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def differences(lock: Path) -> list[str]:
    """A line for each package of requirements.txt that is installed in another version, or not at all."""
    lines = []
    for line in lock.read_text().splitlines():
        if not line or line[0] in " #":
            continue
        package = Requirement(line.removesuffix("\\").strip())
        if package.marker and not package.marker.evaluate():
            continue
        try:
            installed = version(package.name)
        except PackageNotFoundError:
            installed = "not installed"
        if not package.specifier.contains(installed if installed[0].isdigit() else "0", prereleases=True):
            lines.append(f"{package.name}: expected {package.specifier}, as in {lock.name}. Received: {installed}.")
    return lines
