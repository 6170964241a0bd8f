"""Work on a sweep with all threads of a Dask cluster, whose workers share the sweep's folder.

    pip install distributed
    python examples/dask_sweep.py tcp://127.0.0.1:8786 SCENARIO -p KEY=SPEC -o /shared/sweeps/mine

The words behind the address are those of `leomix sweep`; files have their whole paths.
Each process takes the next point that nobody has; `leomix compare` reads the folder meanwhile.
"""

import subprocess
import sys

from distributed import Client


def join(words: list[str]) -> int:
    """Join the sweep from this worker; return the exit code."""
    line = [sys.executable, "-m", "leomix", "sweep", *words, "--join", "--quiet"]
    return subprocess.run(line, check=False).returncode


if __name__ == "__main__":
    address, *words = sys.argv[1:]
    with Client(address) as client:
        threads = sum(client.nthreads().values())
        begun = [client.submit(join, words, pure=False) for _ in range(threads)]
        sys.exit(max(client.gather(begun)))
