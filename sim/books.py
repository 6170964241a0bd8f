"""The books of all bytes of a run, and whether they balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.errors import InvariantError
from sim.ledger import DIRECTIONS, Account

Books = dict[str, dict[str, float]]

TOLERANCE = 1e-9
"""Relative rounding of sums of bytes."""


class Booked(Protocol):
    """Where bytes are booked: accounts by direction, and what is still open of them."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Bytes by direction."""

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the payloads that are open, and what of them is through, all together."""


def books_of(ledgers: Iterable[Booked]) -> Books:
    """Return for each direction the bytes of payloads offered, and what became of them.

    ``carried_bytes`` are those of payloads still open at the end, ``sent_bytes`` what went over the
    links, ``unfinished_bytes`` what of it belongs to open payloads and ``vain_bytes`` what belongs
    to attempts that were given up.
    """
    every = list(ledgers)
    return {direction: _account(every, direction) for direction in DIRECTIONS}


def _account(ledgers: list[Booked], direction: str) -> dict[str, float]:
    accounts = [ledger.accounts[direction] for ledger in ledgers]
    still_open = [ledger.open_bytes(direction) for ledger in ledgers]
    return {
        "offered_bytes": sum(account.offered for account in accounts),
        "delivered_bytes": sum(account.delivered for account in accounts),
        "carried_bytes": sum(whole for whole, _ in still_open),
        "dropped_bytes": sum(account.dropped for account in accounts),
        "sent_bytes": sum(account.sent for account in accounts),
        "unfinished_bytes": sum(part for _, part in still_open),
        "vain_bytes": sum(account.sent_in_vain for account in accounts),
    }


def check_books(books: Books, transfers: pa.Table) -> None:
    """Raise InvariantError unless offered = delivered + carried + dropped, and the rows agree."""
    found = [line for direction in DIRECTIONS for line in _faults(books, direction, transfers)]
    if found:
        raise InvariantError("the bytes of the run do not add up: " + "; ".join(found))


def _faults(books: Books, direction: str, transfers: pa.Table) -> Iterator[str]:
    b = books[direction]
    fate = b["delivered_bytes"] + b["carried_bytes"] + b["dropped_bytes"]
    if not _equal(b["offered_bytes"], fate):
        yield f"{direction} offered {b['offered_bytes']} bytes, but {fate} have a fate"
    use = b["delivered_bytes"] + b["unfinished_bytes"] + b["vain_bytes"]
    if not _equal(b["sent_bytes"], use):
        yield f"{direction} sent {b['sent_bytes']} bytes, but {use} are accounted for"
    mine = pc.equal(transfers.column("direction"), direction)
    rows = pc.sum(transfers.filter(mine).column("delivered_bytes")).as_py() or 0.0
    if not _equal(b["sent_bytes"], rows):
        yield f"{direction} sent {b['sent_bytes']} bytes, but the rows have {rows}"


def _equal(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-3))
