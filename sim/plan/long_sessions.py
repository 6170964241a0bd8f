"""Sessions that last long, in parts: a part counts as a session, and rounds follow each other.

A client under a geostationary satellite has one session that ends with the run. A method that takes
part once in a session would do one round in it, and no cycle would ever be complete.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np

from sim.facts.directions import Way
from sim.plan.contact_columns import PlannedSessions
from sim.plan.contacts import PlannedSession
from statements.arrays import Floats

PART_S = 3600.0
"""Length of the parts of a session that lasts all of the run, unless the scenario says it."""


ROUNDING_S = 1e-3
"""What is shorter is no part, but what rounding has left of one."""


def in_parts(sessions: PlannedSessions, longest_s: float | None, span_s: float) -> PlannedSessions:
    """Return sessions of which none lasts longer than ``longest_s``.

    None stands for any length, but for a session that lasts all of ``span_s``: that has parts of
    ``PART_S``.
    """
    limits_s = [
        _limit_s(start_s, end_s, longest_s, span_s)
        for start_s, end_s in zip(sessions.starts_s, sessions.ends_s, strict=True)
    ]
    return SessionsInParts(sessions, limits_s) if any(limits_s) else sessions


def _limit_s(start_s: float, end_s: float, longest_s: float | None, span_s: float) -> float:
    """Return how long the parts of a session are; 0 for one that is short enough."""
    if longest_s == math.inf:
        return 0.0
    if lasts_all_of(start_s, end_s, span_s):
        return PART_S if longest_s is None else longest_s
    return longest_s if longest_s is not None and end_s - start_s > longest_s else 0.0


def lasts_all_of(start_s: float, end_s: float, span_s: float) -> bool:
    """Whether a session can bring no other one: it is there from the start to the end."""
    return start_s <= 0.0 and end_s >= span_s


class SessionsInParts(PlannedSessions):
    """Sessions of which some are in parts; each part counts as one.

    ``limits_s`` are the lengths of the parts of each session of ``whole``, 0 for one that is not in
    parts. Transfers and rounds go on from part to part: they go over the whole session.
    """

    def __init__(self, whole: PlannedSessions, limits_s: list[float]) -> None:
        self._whole = whole
        self._limits_s = limits_s
        self._whole_of: list[int] = []
        opens_s: list[float] = []
        closes_s: list[float] = []
        numbers: list[int] = []
        edges: list[int] = []
        for session, limit_s in enumerate(limits_s):
            latest = -1
            start_s = whole.starts_s[session]
            for place in range(whole.edges[session], whole.edges[session + 1]):
                open_s = whole.opens_s[place]
                close_s = whole.closes_s[place]
                first = math.floor((open_s - start_s) / limit_s) if limit_s else 0
                last = math.ceil((close_s - start_s) / limit_s) if limit_s else 1
                for part in range(first, max(last, first + 1)):
                    begin_s = max(open_s, start_s + part * limit_s)
                    end_s = min(close_s, start_s + (part + 1) * limit_s) if limit_s else close_s
                    if limit_s and end_s - begin_s < ROUNDING_S:
                        continue
                    if part != latest:
                        edges.append(len(opens_s))
                        self._whole_of.append(session)
                        latest = part
                    opens_s.append(begin_s)
                    closes_s.append(end_s)
                    numbers.append(place)
        super().__init__(whole.contacts, whole.numbers[numbers], (opens_s, closes_s))
        self.edges = [*edges, len(opens_s)]
        self.starts_s = [opens_s[edge] for edge in edges]
        self.ends_s = [closes_s[edge - 1] for edge in self.edges[1:]]

    def named(self, place: int) -> tuple[int, str, int]:
        """Return number and satellite of a contact, and which part it is in."""
        contact_id, satellite, _ = super().named(place)
        return contact_id, satellite, bisect_right(self.edges, place) - 1

    def __getitem__(self, place: int) -> PlannedSession:
        """Return the whole session of a part."""
        return self._whole[self._whole_of[place]]

    def of_one(self, one: int, other: int) -> bool:
        """Whether two are parts of the same session."""
        return self._whole_of[one] == self._whole_of[other]

    def goes_on(self, place: int) -> bool:
        """Whether the next part is of the same session."""
        return place + 1 < len(self) and self.of_one(place, place + 1)

    def repeats(self, place: int) -> bool:
        """Whether rounds follow each other in a session."""
        return self._limits_s[self._whole_of[place]] > 0.0

    def cuts_off(self, place: int) -> bool:
        """Whether transfers end with a part: with the last one."""
        return not self.goes_on(place)

    def carried_bits(self, place: int, way: Way, from_s: float) -> Floats | float:
        """Return what each device (K,) can send in a part from a time on, if it is alone."""
        beam = self[place].beam(way)
        if beam is None:
            return np.inf
        curve = beam.curve
        return curve.delivered_bits(self.end_s(place)) - curve.delivered_bits(from_s)

    def close(self, place: int) -> None:
        """Let the links of a session go with its last part."""
        if not self.goes_on(place):
            self._whole.close(self._whole_of[place])

    def close_all(self, first: int, after_last: int) -> None:
        """Let the links of parts go, those of them that were asked for."""
        for place in range(first, after_last):
            self.close(place)
