"""Traffic: what was on the air, and what of it got through, one way.

A broadcast is sent once, however many devices hear it.
"""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from sim.trace.sorting import says

COUNTED = ("toward", "direction", "payload_bytes", "delivered_bytes", "outcome")
"""Columns of the transfers that :class:`Sent` counts."""


@dataclass
class Sent:
    """What was sent one way, to the server or to clients: by rows of the transfers table.

    ``carried_bytes`` is the most of a payload that got through in one pass, ``payload_bytes`` the
    size of the largest payload.
    """

    rows: int = 0
    delivered: int = 0
    carried_bytes: float = 0.0
    payload_bytes: float = 0.0
    directions: set[str] = field(default_factory=set)

    def add(self, transfers: pa.Table) -> None:
        """Count some rows."""
        if not len(transfers):
            return
        self.rows += len(transfers)
        self.delivered += int(says(transfers, "outcome", "delivered").sum())
        most_bytes = float(pc.max(transfers.column("delivered_bytes")).as_py())
        largest_bytes = float(pc.max(transfers.column("payload_bytes")).as_py())
        self.carried_bytes = max(self.carried_bytes, most_bytes)
        self.payload_bytes = max(self.payload_bytes, largest_bytes)
        named = pc.unique(transfers.column("direction")).to_pylist()
        self.directions.update(str(direction) for direction in named)

    @property
    def passes_each(self) -> float | None:
        """How many passes a payload took on average; None where none got through."""
        return self.rows / self.delivered if self.delivered else None
