"""The machine that this process runs on, as Linux describes it."""

import os
import platform
from pathlib import Path


def threads() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_model() -> str:
    """The CPU's name."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """The CPU's instruction sets, by Linux' names: {"avx2", "fma", …}. Empty where they are not known."""
    return set(_cpuinfo().get("flags", "").split())


def _cpuinfo() -> dict[str, str]:
    """What /proc/cpuinfo says of the last CPU."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
