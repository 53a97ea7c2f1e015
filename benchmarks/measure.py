"""Run a module as `python -m` does, then print its peak memory. python -m benchmarks.measure MODULE [ARGUMENT …]"""

import json
import re
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    # The kernel's own figure for a child counts its parent before the exec as well.
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"peak_mb": int(kilobytes) * 1024 / 1e6}))
