"""The processes that train together, as `TF_CONFIG` names them: what Kubernetes' operators and launchers set."""

import json
import os
from dataclasses import dataclass
from typing import Any

from cnn.process.errors import InputError

SHOWN = 1000  # characters of what was received
EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The addresses (host:port) of all that train together, the chief's first, and which of them this process is."""

    addresses: tuple[str, ...]
    index: int


def read() -> Cluster | None:
    """What TF_CONFIG says; None where it is not set, or names one process alone. Raises InputError.

    The chief is the job `chief`, or where there is none the first `worker`.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return None
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    try:
        document = json.loads(text)
        jobs, task = document.get("cluster", {}), document.get("task", {})
        names = [(job, number) for job in ("chief", "worker") for number in range(len(jobs.get(job, ())))]
        addresses = tuple(address for job in ("chief", "worker") for address in jobs.get(job, ()))
        if not names:
            return None
        index = names.index((task["type"], int(str(task["index"]))))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):  # JSON's own is a ValueError
        raise InputError(f"TF_CONFIG: expected a task of its cluster, like {EXAMPLE}. Received: {shown}") from None
    if len(jobs.get("chief", ())) > 1 or jobs.keys() - {"chief", "worker"} or not all(map(_is_address, addresses)):
        raise InputError(f"TF_CONFIG: expected one chief at most, and workers, each host:port. Received: {shown}")
    if len(set(addresses)) < len(addresses):
        raise InputError(f"TF_CONFIG: expected an address of its own for each. Received: {shown}")
    return Cluster(addresses, index) if len(addresses) > 1 else None


def _is_address(value: Any) -> bool:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536
