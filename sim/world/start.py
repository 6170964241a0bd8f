"""When a simulation starts: at a given time, at the elements' epoch, or at a time that is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import orbit
from learning import stream
from scenarios.scenario import DrawnStart


def given_start(start: datetime | DrawnStart | None, seed: int) -> datetime | None:
    """Return the start that is given or drawn, UTC; None if the elements' epoch counts.

    A drawn one is uniform between ``after`` and so many days later, in whole seconds, from the
    stream ``start`` of the seed: it changes no other draw.
    """
    if start is None or isinstance(start, datetime):
        return start
    return None if start.after is None else start.after + _drawn(start, seed)


def start_of(
    start: datetime | DrawnStart | None, seed: int, satellites: Iterable[orbit.Satellite]
) -> datetime:
    """Return the start with these satellites: by default their latest epoch."""
    if (given := given_start(start, seed)) is not None:
        return given
    latest = max(satellite.epoch for satellite in satellites)
    return latest + _drawn(start, seed) if isinstance(start, DrawnStart) else latest


def _drawn(start: DrawnStart, seed: int) -> timedelta:
    within_s = int(start.within_days * 86_400)
    return timedelta(seconds=int(stream(seed, "start").integers(within_s, endpoint=True)))
