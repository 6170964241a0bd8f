"""Several element sets of one satellite: the latest before a time stands for it."""

from collections.abc import Sequence
from datetime import datetime

from orbit.satellite import Satellite
from orbit.utc import utc


def one_each(satellites: Sequence[Satellite], start: datetime | None = None) -> list[Satellite]:
    """Each satellite once, by its catalogue number; in the order of its first.

    It is that of its latest element set that is not after `start` (aware), of its first one if all
    are; without a start, of its latest. Those without a number (0) all stay. Raises ValueError for
    a start without a zone.
    """
    limit = None if start is None else utc(start, "start")
    known: dict[object, dict[datetime, Satellite]] = {}
    for place, satellite in enumerate(satellites):
        # Of two sets of one epoch the one that comes later corrects the other.
        key = satellite.norad_id or ("without a number", place)
        known.setdefault(key, {})[satellite.epoch] = satellite
    found = []
    for by_epoch in known.values():
        before = [epoch for epoch in by_epoch if limit is None or epoch <= limit]
        found.append(by_epoch[max(before) if before else min(by_epoch)])
    return found
