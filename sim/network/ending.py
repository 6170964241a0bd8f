"""Ending: when and why a chain is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """When a chain is over, and why, if not because all its devices are through or cut off.

    It may be ``closed`` before: for a quorum that was reached, or a deadline. What the end of the
    run interrupts (``run_over``) no pass has cut off.
    """

    time_s: float
    closed: str = ""
    run_over: bool = False
