"""Books: the bytes of all payloads of a run, what became of them, and whether they balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.facts.directions import DIRECTIONS
from statements.arrays import Floats

Books = dict[str, dict[str, float]]

TOLERANCE = 1e-9
"""Relative rounding of sums of bytes."""


class PayloadKey(NamedTuple):
    """A payload by its direction, its receiver and its name, as the transfers table has them."""

    direction: str
    toward: str
    payload: str

    def __str__(self) -> str:
        return f"{self.direction} of {self.payload} to the {self.toward}"


@dataclass
class Account:
    """Bytes of payloads of a ``key`` that were offered and what became of them, and what was sent.

    It is that of one client's devices, or of all clients together. ``sent_in_vain`` went over the
    link for payloads or attempts that were then given up. What is ``sent`` is counted for each
    receiver: ``heard_again`` is the part of it that was on the air for another receiver of the same
    broadcast. Payloads that are still open have ``open_bytes``, of which ``unfinished_bytes`` are
    through.
    """

    key: PayloadKey
    offered: float = 0.0
    delivered: float = 0.0
    dropped: float = 0.0
    sent: float = 0.0
    sent_in_vain: float = 0.0
    heard_again: float = 0.0
    open_bytes: float = 0.0
    unfinished_bytes: float = 0.0

    def add(self, size: Floats, moved: Floats, *, whole: bool) -> None:
        """Add payloads (N,) of which so much has moved: all of them, or they are still open.

        They are added one after the other: so a sum does not depend on when somebody looks.
        """
        self.offered = _added(self.offered, size)
        self.sent = _added(self.sent, moved)
        if whole:
            self.delivered = _added(self.delivered, size)
        else:
            self.open_bytes = _added(self.open_bytes, size)
            self.unfinished_bytes = _added(self.unfinished_bytes, moved)


def _added(before: float, more: Floats) -> float:
    return float(np.add.accumulate(np.append(before, more))[-1])


def books_of(booked: Iterable[Account]) -> Books:
    """Return for each direction of the table the bytes offered, and what became of them.

    ``carried_bytes`` are those of payloads still open at the end, ``sent_bytes`` what all receivers
    got, ``unfinished_bytes`` what of it belongs to open payloads and ``vain_bytes`` what belongs to
    attempts that were given up. ``on_air_bytes`` is the traffic: a broadcast counts once.
    """
    every = list(booked)
    return {
        direction: _sums([one for one in every if one.key.direction == direction])
        for direction in DIRECTIONS
    }


def books_by_payload(booked: Iterable[Account]) -> Books:
    """Return the same by payload, named as messages name them."""
    by_key: dict[PayloadKey, list[Account]] = {}
    for one in booked:
        by_key.setdefault(one.key, []).append(one)
    return {str(key): _sums(some) for key, some in by_key.items()}


def _sums(booked: Iterable[Account]) -> dict[str, float]:
    every = list(booked)
    return {
        "offered_bytes": sum(one.offered for one in every),
        "delivered_bytes": sum(one.delivered for one in every),
        "carried_bytes": sum(one.open_bytes for one in every),
        "dropped_bytes": sum(one.dropped for one in every),
        "sent_bytes": sum(one.sent for one in every),
        "unfinished_bytes": sum(one.unfinished_bytes for one in every),
        "vain_bytes": sum(one.sent_in_vain for one in every),
        "on_air_bytes": sum(one.sent - one.heard_again for one in every),
    }


@dataclass
class Sums:
    """Bytes in one direction, or of one payload, as the rows of the transfers table have them.

    All that was ``sent`` to each receiver, the sizes of the payloads that were ``delivered``, what
    was ``on_air``, and the ``largest`` of all sizes.
    """

    sent: float = 0.0
    delivered: float = 0.0
    on_air: float = 0.0
    largest: float = 0.0


def check_balance(books: Mapping[str, Mapping[str, float]], rows: Mapping[str, Sums]) -> list[str]:
    """Return what does not add up in the books of a direction or payload, or not with its rows."""
    nothing = Sums()
    faults = [
        line for name in books for line in _faults(books[name], name, rows.get(name, nothing))
    ]
    return faults + [f"{name} has rows, but no books" for name in rows if name not in books]


def _faults(b: Mapping[str, float], name: str, rows: Sums) -> Iterator[str]:
    fate = b["delivered_bytes"] + b["carried_bytes"] + b["dropped_bytes"]
    if not _equal(b["offered_bytes"], fate):
        yield f"{name} offered {b['offered_bytes']} bytes, but {fate} have a fate"
    use = b["delivered_bytes"] + b["unfinished_bytes"] + b["vain_bytes"]
    if not _equal(b["sent_bytes"], use):
        yield f"{name} sent {b['sent_bytes']} bytes, but {use} are accounted for"
    if not _equal(b["sent_bytes"], rows.sent):
        yield f"{name} sent {b['sent_bytes']} bytes, but the rows have {rows.sent}"
    if not _equal(b["on_air_bytes"], rows.on_air):
        sent = f"{name} sent {b['on_air_bytes']} bytes on the air"
        yield f"{sent}, but the rows have {rows.on_air}"
    if not _equal(b["delivered_bytes"], rows.delivered):
        whole = f"{name} delivered payloads of {b['delivered_bytes']} bytes"
        yield f"{whole}, but the rows those of {rows.delivered}"


def _equal(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-3))
