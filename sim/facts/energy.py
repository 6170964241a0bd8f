"""Energy: what the batteries of satellites held, and sums of what clients spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.facts.row import Real, Row, Text, column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChargeRow(Row):
    """What a battery held, a straight line from row to row: a whole table."""

    table: ClassVar[str] = "charges"
    order: ClassVar[tuple[str, ...]] = ("cluster", "time_s")
    optional: ClassVar[bool] = True

    cluster: Text = field(metadata=column("client whose battery it is"))
    time_s: Real = field(metadata=column("when"))
    charge: Real = field(metadata=column("share of its capacity"))


def total(rows: Sequence[dict[str, Any]], key: str) -> Any:
    """Sum of a figure over rows, None where one of them does not know it."""
    values = [row[key] for row in rows]
    return None if any(value is None for value in values) else sum(values)
