"""Satellites and devices of a scenario as such, for who looks at them apart from all links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orbit


@dataclass(frozen=True, eq=False)
class Sky:
    """Satellites by name, and the ``devices`` of each cluster, in canonical order.

    A device's own mask wins over ``min_elevation_deg``.
    """

    start: datetime
    satellites: Mapping[str, orbit.Satellite]
    devices: Sequence[Sequence[orbit.Site]]
    min_elevation_deg: float
