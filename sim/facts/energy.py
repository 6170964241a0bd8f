"""Energy: what the batteries of satellites held."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sim.facts.row import Real, Row, Text, column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChargeRow(Row):
    """What a battery held, a straight line from row to row: a whole table."""

    table: ClassVar[str] = "charges"
    order: ClassVar[tuple[str, ...]] = ("cluster", "time_s")
    optional: ClassVar[bool] = True
    undigested: ClassVar[bool] = True

    cluster: Text = field(metadata=column("client whose battery it is"))
    time_s: Real = field(metadata=column("when"))
    charge: Real = field(metadata=column("share of its capacity"))
