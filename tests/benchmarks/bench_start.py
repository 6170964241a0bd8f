"""How long `leomix validate quickstart` takes, beside the imports that it cannot do without.

`python tests/benchmarks/bench_start.py [TIMES]` starts both in turn, each in a process of its own
with byte code cached, and prints the least CPU seconds of each and their ratio.
"""

import os
import sys
from tempfile import TemporaryDirectory

from stopwatch import python

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
        calls = CALLS.values()
        rounds = [[python(*c, env=environment).cpu_s for c in calls] for _ in range(1 + times)]
    # In the first round all is compiled.
    least_s = [min(of_call) for of_call in zip(*rounds[1:], strict=True)]
    for name, seconds in zip(CALLS, least_s, strict=True):
        print(f"{name:30s} {seconds:6.3f} s of CPU, the least of {times}")
    ratio = least_s[1] / least_s[0]
    kept = "holds" if ratio <= AIM else "MISSED"
    print(f"ratio {ratio:.2f} (at most {AIM:g}: {kept})")


if __name__ == "__main__":
    main()
