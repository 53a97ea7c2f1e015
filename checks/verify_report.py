"""What verify says: for people, and of the machine."""

import platform
from importlib.metadata import version
from typing import Any

from cnn.process import machine


def fingerprint() -> dict[str, Any]:
    """What the machine is: all that could make a difference."""
    flags = machine.cpu_flags()
    return {
        "cpu": machine.cpu_model(),
        "instructions": [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile") if flag in flags],
        "threads": machine.threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "keras", "numpy", "dvc")},
    }


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = list(report["faults"])
    if report["outputs"]:
        width = max(len(row["output"]) for row in report["outputs"])
        lines.append(f"{'stage':10}  {'output':{width}}  {'committed':12}  {'reproduced':12}  verdict")
        for row in report["outputs"]:
            verdict = "equal" if row["equal"] else "DIFFERS"
            hashes = f"{row['committed'][:12]:12}  {row['reproduced'][:12]:12}"
            lines.append(f"{row['stage']:10}  {row['output']:{width}}  {hashes}  {verdict}")
        for path in report["not_derived"]:
            lines.append(f"{'(no stage)':10}  {path:{width}}  {'':26}  not derived again: `make noise` measures it")
    lines += ["", *report["versions"], *(f"{key:12} {value}" for key, value in report["machine"].items()), ""]
    commit = report["commit"][:12]
    if report["equal"]:
        lines.append(f"verified: {commit} makes all {len(report['outputs'])} outputs again, bit for bit")
    elif report["faults"]:
        lines.append(f"NOT verified: {commit} cannot be derived again as it is, see above; nothing was run")
    else:
        weights = report["largest_weight_difference"]
        lines.append(
            f"NOT verified: {commit} differs from the stage '{report['first_stage_that_differs']}' on; "
            f"largest difference of a metric {report['largest_metric_difference']:.3g}, of a weight "
            f"{'unknown (the committed model is not on this machine)' if weights is None else f'{weights:.3g}'}"
        )
    return "\n".join(lines)
