"""How a run, or a point of a sweep, has ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from statements import NO_CONTACT as CODES_OF_NO_CONTACT

COMPLETE = "complete"
"""It came to its end."""
FAILED = "failed"
"""It contradicted itself, or something that it needs did."""
CRASHED = "crashed"
"""Its process died."""
REFUSED = "refused"
"""Its input is wrong."""
INTERRUPTED = "interrupted"
"""It was asked to stop, and its state is saved."""


NO_CONTACT_STATUS = "no contact"
"""What is said of a point that sees no satellite: a result of its own, not a gap."""


def missing_status(row: Mapping[str, Any]) -> str:
    """Return why a point that is not complete has no figures."""
    if row.get("code") in CODES_OF_NO_CONTACT:
        return NO_CONTACT_STATUS
    return NOT_COMPLETE[str(row["status"])]


MISSING = "missing"
"""Status of a point that has not been run, or not to its end."""
NOT_COMPLETE = {REFUSED: "refused", FAILED: "failed", CRASHED: "failed", MISSING: "missing"}
"""What is said of a point by the status of its row, if it is not complete."""


def how_complete(statuses: Sequence[str]) -> str:
    """Say how many points are complete, by their statuses; empty where all are."""
    done = statuses.count(COMPLETE)
    return f"{done} of {len(statuses)} points are complete" if done < len(statuses) else ""
