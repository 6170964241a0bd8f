"""The books of all bytes of a run, and whether they balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass
class Sums:
    """Bytes in one direction as the rows of the transfers table have them.

    All that was ``sent``, and the sizes of the payloads that were ``delivered``.
    """

    sent: float = 0.0
    delivered: float = 0.0


def check_books(books: Books, transfers: pa.Table) -> None:
    """Raise InvariantError unless offered = delivered + carried + dropped, and the rows agree."""
    sums = {direction: _sums(transfers, direction) for direction in DIRECTIONS}
    if found := check_balance(books, sums):
        raise InvariantError("the bytes of the run do not add up: " + "; ".join(found))


def _sums(transfers: pa.Table, direction: str) -> Sums:
    mine = transfers.filter(pc.equal(transfers.column("direction"), direction))
    through = mine.filter(pc.equal(mine.column("outcome"), "delivered"))
    return Sums(
        pc.sum(mine.column("delivered_bytes")).as_py() or 0.0,
        pc.sum(through.column("payload_bytes")).as_py() or 0.0,
    )


def check_balance(books: Mapping[str, Mapping[str, float]], rows: Mapping[str, Sums]) -> list[str]:
    """Return what does not add up in the books of each direction, or not with its rows."""
    return [line for way in DIRECTIONS for line in _faults(books[way], way, rows[way])]


def _faults(b: Mapping[str, float], direction: str, rows: Sums) -> Iterator[str]:
    fate = b["delivered_bytes"] + b["carried_bytes"] + b["dropped_bytes"]
    if not _equal(b["offered_bytes"], fate):
        yield f"{direction} offered {b['offered_bytes']} bytes, but {fate} have a fate"
    use = b["delivered_bytes"] + b["unfinished_bytes"] + b["vain_bytes"]
    if not _equal(b["sent_bytes"], use):
        yield f"{direction} sent {b['sent_bytes']} bytes, but {use} are accounted for"
    if not _equal(b["sent_bytes"], rows.sent):
        yield f"{direction} sent {b['sent_bytes']} bytes, but the rows have {rows.sent}"
    if not _equal(b["delivered_bytes"], rows.delivered):
        whole = f"{direction} delivered payloads of {b['delivered_bytes']} bytes"
        yield f"{whole}, but the rows those of {rows.delivered}"


def _equal(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-3))
