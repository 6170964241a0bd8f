"""Contacts over which messages go from node to node, and routes over them.

They know nothing of satellites, clients or payloads. What a plan of contacts may hold, its own
checks say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from channel import LinkCurve
from statements.arrays import Floats, Ints

HOP = 4
"""Figures of a hop."""


@dataclass(slots=True, eq=False)
class Route:
    """Hops of a message, one behind the other: columns.

    Each goes over the contact in a ``row`` of a book; its bits begin to leave, have left, and the
    last one is there. ``figures`` are these four of one hop after the other, as the search writes
    them and a book takes them.
    """

    figures: Any
    row: list[int]
    begin_s: list[float]
    sent_s: list[float]
    arrival_s: list[float]

    @classmethod
    def of(cls, figures: Any) -> Route:
        """Return the hops with such figures: a list, or an array where the search is compiled."""
        values = figures.tolist() if isinstance(figures, np.ndarray) else figures
        row = list(map(int, values[::HOP]))
        return cls(figures, row, values[1::HOP], values[2::HOP], values[3::HOP])

    def __len__(self) -> int:
        return len(self.row)

    def hops(self) -> Iterator[tuple[int, float, float, float]]:
        """Go through the columns, hop by hop."""
        return zip(self.row, self.begin_s, self.sent_s, self.arrival_s, strict=True)


class Hop(NamedTuple):
    """A message over one ``contact`` of a plan, from ``source`` to ``target``.

    Its bits leave from ``begin_s`` to ``sent_s``; the last one is there at ``arrival_s``.
    """

    contact: int
    source: int
    target: int
    begin_s: float
    sent_s: float
    arrival_s: float


Sent = Callable[[int, int, float, float], tuple[float, float]]
"""When bits have left, and are there, that go over a contact from a node and a time on.

Who begins later is never there earlier."""


class Rates(NamedTuple):
    """How a contact carries bits, at a rate or by the curve of one device, and its light time."""

    delay_s: float
    rate_bps: float
    curve: LinkCurve | None = None


Load = Callable[[int, int], Rates]
"""The rates of a contact from a node."""


class Contacts(NamedTuple):
    """Arrays (M,) over contacts, each from one node to another: a number, and begin and end.

    What is sent back has a contact of its own, with the same number. ``rate_bps`` is nan where a
    function says when bits are there (:data:`Sent`), and 0 where rates are looked up when they are
    needed (:data:`Load`); else signals take ``delay_s``.
    """

    number: Ints
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    rate_bps: Floats
    delay_s: Floats


@dataclass(frozen=True, eq=False)
class ContactPlan:
    """M contacts between so many ``nodes``.

    ``a`` and ``b`` (M,) are nodes, counted from 0. Bits leave from ``start_s`` to ``end_s`` at
    ``rate_bps``, and are there ``delay_s`` later: arrays (M,), or one number. Of a contact with the
    rate nan ``sent`` says so; who begins later is never there earlier. A contact goes both ways,
    with a band of its own for each, unless all are ``directed``.
    """

    nodes: int
    a: ArrayLike
    b: ArrayLike
    start_s: ArrayLike
    end_s: ArrayLike
    rate_bps: ArrayLike
    delay_s: ArrayLike = 0.0
    directed: bool = False
    sent: Sent | None = None

    def contacts(self) -> Contacts:
        """Return all contacts in each direction, sorted by start.

        Raises ValueError for columns of other lengths or nodes that are no whole numbers and, with
        the number of the first one, for a contact that ends before it starts, has a rate that is
        not above 0 (nan needs ``sent``) or a delay below 0, or is between nodes that are not there.
        """
        self._check_columns()
        count = len(np.asarray(self.a))
        one, other = np.asarray(self.a).astype(np.int64), np.asarray(self.b).astype(np.int64)
        forth = Contacts(
            np.arange(count),
            one,
            other,
            *(
                np.broadcast_to(np.asarray(values, float), count)
                for values in (self.start_s, self.end_s, self.rate_bps, self.delay_s)
            ),
        )
        self._check(forth)
        ways = [forth] if self.directed else [forth, forth._replace(source=other, target=one)]
        columns = [np.concatenate(each) for each in zip(*ways, strict=True)]
        order = np.argsort(columns[3], kind="stable")
        return Contacts(*(column[order] for column in columns))

    def _check_columns(self) -> None:
        """Raise ValueError for columns that are not of the same contacts."""
        shape = np.shape(self.a)
        if len(shape) != 1:
            raise ValueError("a is no row; give the first node of each contact")
        for name in ("b", "start_s", "end_s", "rate_bps", "delay_s"):
            own = np.shape(getattr(self, name))
            if own != shape and (name == "b" or own):
                raise ValueError(f"{name} has the shape {own}, and a {shape}; give one per contact")
        for name in ("a", "b"):
            nodes = np.asarray(getattr(self, name))
            if nodes.dtype.kind not in "iuf" or (nodes != np.floor(nodes)).any():
                raise ValueError(f"{name} has other nodes than whole numbers")

    def _check(self, contacts: Contacts) -> None:
        """Raise ValueError for the first contact that cannot be."""
        asked = np.isnan(contacts.rate_bps) & (self.sent is not None)
        ends = np.stack([contacts.source, contacts.target])
        for wrong, what in (
            (~(contacts.end_s >= contacts.start_s), "ends before it starts"),
            (~((contacts.rate_bps > 0.0) | asked), "has a rate_bps that is not above 0"),
            (~(contacts.delay_s >= 0.0), "has a delay_s below 0"),
            (
                ((ends < 0) | (ends >= self.nodes)).any(axis=0),
                f"is between nodes that are not 0 to {self.nodes - 1}",
            ),
        ):
            if wrong.any():
                raise ValueError(f"contact {int(wrong.argmax())} {what}")
