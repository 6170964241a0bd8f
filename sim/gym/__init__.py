"""Runs as environments of Gymnasium: an agent decides who takes part, and when is aggregated.

Importing it registers ``leomix/Select-v0``. It needs the extra ``gym``.
"""

from __future__ import annotations

from importlib.util import find_spec

from sim.process.installation import install_line

if lacks := [name for name in ("gymnasium", "greenlet") if find_spec(name) is None]:
    raise ImportError(f"leomix.gym needs {lacks[0]}; install it with {install_line('gym')}")

import gymnasium

from sim.gym.encoding import FEATURES, OVERALL, decoded, encoded
from sim.gym.environment import Select

__all__ = ["FEATURES", "OVERALL", "SELECT", "Select", "decoded", "encoded"]
SELECT = "leomix/Select-v0"
"""What ``gymnasium.make`` calls the environment."""

if SELECT not in gymnasium.registry:
    gymnasium.register(SELECT, "sim.gym.environment:Select")
