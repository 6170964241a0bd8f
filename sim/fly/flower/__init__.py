"""Flower apps on the simulated clock, unchanged; needs the extra ``flower``.

It uses names of flwr that are not public and have moved between its versions. Importing it refuses
a version with which it was not tested.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from sim.process.installation import install_line

OLDEST, NEWEST = (1, 41), (1, 42)
"""The versions of flwr that the extra allows; the tests are run with both."""
ALLOWED = f"flwr>={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"

if find_spec("flwr") is None:
    raise ImportError(f"Flower apps need flwr; install it with {install_line('flower')}")

_installed = version("flwr")
if not OLDEST <= tuple(int(part) for part in _installed.split(".")[:2]) <= NEWEST:
    raise ImportError(
        f"flwr {_installed} is installed, and leomix was not tested with it; install one of the "
        f'versions that it was tested with: pip install "{ALLOWED}"'
    )
