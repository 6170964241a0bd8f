"""Runs as environments of Gymnasium: an agent decides who takes part, and when is aggregated.

Importing it registers ``leomix/Select-v0``. It needs the extra ``leomix[gym]``.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("gymnasium") is None:
    raise ImportError('leomix.gym needs gymnasium; install it with pip install "leomix[gym]"')

import gymnasium

from sim.gym.encoding import FEATURES as FEATURES
from sim.gym.encoding import OVERALL as OVERALL
from sim.gym.encoding import decoded as decoded
from sim.gym.encoding import encoded as encoded
from sim.gym.environment import Select as Select

SELECT = "leomix/Select-v0"
"""What ``gymnasium.make`` calls the environment."""

if SELECT not in gymnasium.registry:
    gymnasium.register(SELECT, "sim.gym.environment:Select")
