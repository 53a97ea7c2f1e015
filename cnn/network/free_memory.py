"""How much memory this process may still take. Free of TensorFlow."""

import math
import resource
from collections.abc import Iterator
from pathlib import Path


def free_bytes(root: Path = Path("/")) -> float:
    """Bytes that this process may still take: the least that the machine, its control groups and RLIMIT_AS leave.

    root: the folder that holds proc/ and sys/. Infinite where nothing there says it.
    """
    left = [math.inf, *_left_in_groups(root)]
    if "MemAvailable" in (machine_wide := _numbers(root / "proc/meminfo")):
        left.append(1024 * machine_wide["MemAvailable"])
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        left.append(limit - 1024 * _numbers(root / "proc/self/status").get("VmSize", 0))
    return max(min(left), 0)


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each control group of this process, and each around it, leaves of its limit."""
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.exists() else []:
        _, controllers, name = line.split(":", 2)
        if "memory" in controllers.split(","):
            mount, limit, use, total = "sys/fs/cgroup/memory", "limit_in_bytes", "usage_in_bytes", "total_"
        elif not controllers:  # version 2
            mount, limit, use, total = "sys/fs/cgroup", "max", "current", ""
        else:
            continue
        # In a container the name may be the host's for it, and what is mounted its own group.
        folder, top = root / mount / name.lstrip("/"), root / mount
        for group in (folder, *folder.parents):
            file = group / f"memory.{limit}"
            if group.is_relative_to(top) and file.exists() and (most := file.read_text().strip()) != "max":
                cache = _numbers(group / "memory.stat")  # of files: it gives way
                used = int((group / f"memory.{use}").read_text())
                yield int(most) - used + sum(cache.get(f"{total}{kind}_file", 0) for kind in ("active", "inactive"))


def _numbers(path: Path) -> dict[str, int]:
    """What lines like `MemAvailable:  100 kB` or `active_file 100` of a file say; nothing where there is none."""
    lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()] if path.exists() else []
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
