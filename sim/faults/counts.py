"""What faults did to a run, counted out of its events table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.faults import INJECTED

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FAULT_KINDS", "INJECTED", "fault_counts", "fault_lines"]

FAULT_KINDS = {
    "satellite outages": r"^injected: satellite .* out until",
    "absences of devices": r"^injected: away until",
    "slow devices": r"^injected: .* times as slow",
    "transfers with packets sent again": r"^injected: .* packets of .* sent again",
    "corrupted uploads": r"refused: corrupted in transit$",
    "updates that were not finite": r"^injected: update .* not finite",
    "late uploads": r"^injected: upload of .* late by",
}
"""What is counted, and the details of the rows that it is counted by."""


def fault_counts(events: pa.Table) -> dict[str, int]:
    """Count the faults of each kind that the scenario asked for; kinds without any are left out."""
    import pyarrow.compute as pc

    kinds = events.column("kind")
    told = pc.or_(pc.equal(kinds, "fault"), pc.equal(kinds, "drop"))
    details = pc.value_counts(events.column("detail").filter(told).drop_null())
    texts, counts = details.field("values"), details.field("counts")
    found = {}
    for kind, pattern in FAULT_KINDS.items():
        mine = pc.match_substring_regex(texts, pattern)
        found[kind] = int(pc.sum(counts.filter(mine)).as_py() or 0)
    return {kind: count for kind, count in found.items() if count}


def fault_lines(counts: dict[str, int]) -> list[str]:
    """Say what faults a run had, in one line; none where it had none."""
    each = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return [f"faults of the scenario: {each}"] if counts else []
