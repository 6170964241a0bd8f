"""Sessions of a client as columns of one table, and the parts of those that last long.

A client under a geostationary satellite has one session that ends with the run. A method that takes
part once in a session would do one round in it, and no cycle would ever be complete: such a session
is in parts, each of which is a row of the table, and rounds follow each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.facts.directions import Way
from sim.plan.contacts import ContactColumns, PlannedSession
from statements.arrays import Floats, Ints, Mask

PART_S = 3600.0
"""Length of the parts of a session that lasts all of the run, unless the scenario says it."""
ROUNDING_S = 1e-3
"""What is shorter is no part, but what rounding has left of one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PlannedSessions:
    """N sessions of a client in order of time, by the numbers of the ``contacts`` they are over.

    Session ``n`` lasts from ``starts_s[n]`` to ``ends_s[n]``, over the contacts of the rows from
    ``edges[n]`` to before ``edges[n + 1]``: of these rows ``numbers`` are the contacts, which begin
    at ``opens_s`` and end at ``closes_s``. Sessions of one ``group`` are parts of a longer one,
    whose links they share. In one that ``repeats`` a client takes part as often as it can, and not
    once. A link on the way to the contact carries ``link_bps`` at least, inf where there is none.
    Where the end of a session ``cuts`` nothing, what has set off goes on behind it.

    ``sessions[n]`` has the links. It is made when it is first asked for and kept until it is let
    go: a run never asks for most of those of a constellation.
    """

    contacts: ContactColumns
    numbers: Ints
    opens_s: Sequence[float]
    closes_s: Sequence[float]
    edges: Sequence[int]
    starts_s: Sequence[float]
    ends_s: Sequence[float]
    group: Sequence[int]
    repeats: Mask
    link_bps: Floats
    cuts: bool = True
    _made: dict[int, PlannedSession] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self.starts_s)

    def __getitem__(self, session: int) -> PlannedSession:
        """Return a session with its links: of a part, that of its whole group."""
        session = range(len(self))[session]
        group = self.group[session]
        made = self._made.get(group)
        if made is None:
            first, after_last = bisect_left(self.group, group), bisect_right(self.group, group)
            rows = slice(self.edges[first], self.edges[after_last])
            numbers = dict.fromkeys(self.numbers[rows].tolist())
            made = PlannedSession(group, tuple(self.contacts[number] for number in numbers))
            self._made[group] = made
        return made

    def contact_id(self, row: int) -> int:
        """Return the number of the contact of a row."""
        return int(self.numbers[row])

    def goes_on(self, session: int) -> bool:
        """Whether the next session takes the place of one, which is then no end of contact.

        It is another part of the same one or, where nothing is cut off, begins as this one ends.
        """
        if session + 1 == len(self):
            return False
        if self.cuts:
            return self.group[session + 1] == self.group[session]
        return self.starts_s[session + 1] <= self.ends_s[session]

    def cuts_off(self, session: int) -> bool:
        """Whether the end of a session cuts off transfers that go on."""
        return self.cuts and not self.goes_on(session)

    def carried_bits(self, session: int, way: Way, from_s: float) -> Floats | float:
        """Return what each device (K,) can send in a session from a time on, if it is alone.

        That is inf for a direction that is neglected.
        """
        end_s = self.ends_s[session]
        beam = self[session].beam(way)
        bits: Floats | float = np.inf
        if beam is not None:
            bits = beam.curve.delivered_bits(end_s) - beam.curve.delivered_bits(from_s)
        if self.link_bps[session] < np.inf:
            bits = np.minimum(bits, self.link_bps[session] * max(end_s - from_s, 0.0))
        return bits

    def close(self, session: int) -> None:
        """Let a session go with its links, if it was asked for; those of parts with the last."""
        group = self.group[session]
        if session + 1 == len(self) or self.group[session + 1] != group:
            made = self._made.pop(group, None)
            if made is not None:
                made.close()

    def close_before(self, session: int) -> None:
        """Let all that were asked for before a session go with their links."""
        for group in [made for made in self._made if made < self.group[session]]:
            self._made.pop(group).close()


def sessions_of(contacts: ContactColumns, numbers: Ints) -> PlannedSessions:
    """Return the sessions over served contacts in order of time, of which one may have several."""
    session = contacts.session[numbers]
    new = np.flatnonzero(session[1:] != session[:-1]) + 1
    edges = [0, *new.tolist(), len(numbers)] if len(numbers) else [0]
    opens_s, closes_s = contacts.start_s[numbers].tolist(), contacts.end_s[numbers].tolist()
    many = len(edges) - 1
    return PlannedSessions(
        contacts=contacts,
        numbers=numbers,
        opens_s=opens_s,
        closes_s=closes_s,
        edges=edges,
        starts_s=[opens_s[edge] for edge in edges[:-1]],
        ends_s=[closes_s[edge - 1] for edge in edges[1:]],
        group=range(many),
        repeats=np.zeros(many, bool),
        link_bps=np.full(many, np.inf),
    )


def in_parts(whole: PlannedSessions, longest_s: float | None, span_s: float) -> PlannedSessions:
    """Return sessions of which none lasts longer than ``longest_s``.

    None stands for any length, but for a session that lasts all of ``span_s``: that has parts of
    ``PART_S``. Transfers and rounds go on from part to part.
    """
    limits_s = [
        _limit_s(start_s, end_s, longest_s, span_s)
        for start_s, end_s in zip(whole.starts_s, whole.ends_s, strict=True)
    ]
    if not any(limits_s):
        return whole
    group: list[int] = []
    opens_s: list[float] = []
    closes_s: list[float] = []
    rows: list[int] = []
    edges: list[int] = []
    for session, limit_s in enumerate(limits_s):
        latest = -1
        start_s = whole.starts_s[session]
        for row in range(whole.edges[session], whole.edges[session + 1]):
            open_s = whole.opens_s[row]
            close_s = whole.closes_s[row]
            first = math.floor((open_s - start_s) / limit_s) if limit_s else 0
            last = math.ceil((close_s - start_s) / limit_s) if limit_s else 1
            for part in range(first, max(last, first + 1)):
                begin_s = max(open_s, start_s + part * limit_s)
                end_s = min(close_s, start_s + (part + 1) * limit_s) if limit_s else close_s
                if limit_s and end_s - begin_s < ROUNDING_S:
                    continue
                if part != latest:
                    edges.append(len(opens_s))
                    group.append(session)
                    latest = part
                opens_s.append(begin_s)
                closes_s.append(end_s)
                rows.append(row)
    edges.append(len(opens_s))
    return PlannedSessions(
        contacts=whole.contacts,
        numbers=whole.numbers[rows],
        opens_s=opens_s,
        closes_s=closes_s,
        edges=edges,
        starts_s=[opens_s[edge] for edge in edges[:-1]],
        ends_s=[closes_s[edge - 1] for edge in edges[1:]],
        group=group,
        repeats=np.array(limits_s)[group] > 0.0,
        link_bps=whole.link_bps[group],
    )


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
