"""Synchronisation: when satellites that serve as one server know what each of them has received."""

from __future__ import annotations

import math


class Synchronisation:
    """Access points of one server, whose state takes ``delay_s`` from one satellite to another.

    With no delay, the ideal, every satellite always has the newest state. Otherwise a download
    from one waits until it knows every upload that another one had received by then.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received_s: dict[str, float] = {}

    def received(self, satellite: str, time_s: float) -> None:
        """Note that an upload to ``satellite`` was through at ``time_s``."""
        self._received_s[satellite] = max(self._received_s.get(satellite, -math.inf), time_s)

    def known_s(self, satellite: str) -> float:
        """When ``satellite`` knows all that others have received so far; -inf for always."""
        if not self._delay_s:
            return -math.inf
        others = [t for name, t in self._received_s.items() if name != satellite]
        return max(others, default=-math.inf) + self._delay_s
