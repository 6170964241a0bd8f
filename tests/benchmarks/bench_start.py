"""How long `leomix validate quickstart` takes, beside the imports that it cannot do without.

`python tests/benchmarks/bench_start.py [TIMES]` starts both in turn, each in a process of its own
with byte code cached, and prints the least CPU seconds of each and their ratio.
"""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

CALLS = {
    "import numpy, yaml, pydantic": ["-c", "import numpy, yaml, pydantic"],
    "validate quickstart": ["-m", "sim", "validate", "quickstart"],
}
AIM = 4.0
TIMES = 9


def main() -> None:
    """Print both and the ratio."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    with TemporaryDirectory() as cache:
        quiet = {"OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": cache}
        environment = {**os.environ, **quiet, "PYTHONDONTWRITEBYTECODE": ""}
        for call in CALLS.values():  # compiled once
            _seconds(call, environment)
        rounds = [[_seconds(call, environment) for call in CALLS.values()] for _ in range(times)]
    least_s = [min(of_call) for of_call in zip(*rounds, strict=True)]
    for name, seconds in zip(CALLS, least_s, strict=True):
        print(f"{name:30s} {seconds:6.3f} s of CPU, the least of {times}")
    ratio = least_s[1] / least_s[0]
    kept = "holds" if ratio <= AIM else "MISSED"
    print(f"ratio {ratio:.2f} (at most {AIM:g}: {kept})")


def _seconds(call: list[str], environment: dict[str, str]) -> float:
    """CPU seconds of a process."""
    child = subprocess.Popen([sys.executable, *call], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"python {' '.join(call)}: exit code {child.returncode}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
