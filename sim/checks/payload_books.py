"""The books, the list of payloads and the rows of transfers agree, payload by payload."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sim.errors import violated
from sim.facts.row import single
from sim.facts.transfers import TransferRow
from sim.network.books import Account, PayloadKey, Sums, books_by_payload, check_balance
from sim.network.legs import HopRows, MovedRows

AGREE = "books, payloads and transfers agree"


class PayloadBooks:
    """Adds up the rows of each payload, by direction and receiver, whatever the roles are.

    Of what was offered all is delivered, dropped or still open; what was sent and delivered is the
    sum of the rows; and whatever was offered is listed, with the largest of its sizes.
    """

    def __init__(self) -> None:
        self._sums: defaultdict[PayloadKey, Sums] = defaultdict(Sums)

    def moved(self, rows: MovedRows | HopRows) -> None:
        """Add up what devices moved, or messages over hops."""
        keys = len(rows.keys)
        sent = np.bincount(rows.key, rows.bytes, keys).tolist()
        delivered = np.bincount(rows.key, np.where(rows.delivered, rows.size, 0.0), keys).tolist()
        on_air = np.bincount(rows.key, rows.on_air, keys).tolist()
        largest = np.zeros(keys)
        np.maximum.at(largest, rows.key, rows.size)
        for key, *sums in zip(rows.keys, sent, delivered, on_air, largest.tolist(), strict=True):
            self._add(key, *sums)

    def message(self, row: TransferRow) -> None:
        """Add up what moved of a message between clients."""
        size = single(row.payload_bytes)
        key = PayloadKey(str(row.direction), str(row.toward), str(row.payload))
        delivered = size if row.outcome == "delivered" else 0.0
        moved = single(row.delivered_bytes)
        self._add(key, moved, delivered, moved, size)

    def _add(
        self, key: PayloadKey, sent: float, delivered: float, on_air: float, largest: float
    ) -> None:
        sums = self._sums[key]
        sums.sent += sent
        sums.delivered += delivered
        sums.on_air += on_air
        sums.largest = max(sums.largest, largest)

    def conclude(self, booked: Iterable[Account], listed: Sequence[Mapping[str, Any]]) -> None:
        """Hold what the rows say against the accounts of all payloads, and the list of them."""
        accounts = list(booked)
        rows = {str(key): sums for key, sums in self._sums.items()}
        found = check_balance(books_by_payload(accounts), rows)
        found += self._not_listed(accounts, listed)
        if found:
            raise violated(AGREE, "; ".join(found))

    def _not_listed(
        self, accounts: Sequence[Account], listed: Sequence[Mapping[str, Any]]
    ) -> Iterator[str]:
        """Yield which payloads are not in the list, or as smaller ones."""
        largest = {
            PayloadKey(one["direction"], one["toward"], one["payload"]): float(one["bytes"])
            for one in listed
        }
        offered = {one.key for one in accounts if one.offered}
        for key in sorted((offered | set(self._sums)) - set(largest)):
            yield f"{key} is not in the list of payloads"
        for key, sums in self._sums.items():
            if sums.largest > largest.get(key, np.inf):
                yield f"{key} is listed with {largest[key]} bytes, but a row has {sums.largest}"
