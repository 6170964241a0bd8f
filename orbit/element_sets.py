"""Several element sets of one satellite: the latest stands for it."""

from collections.abc import Sequence
from datetime import datetime

from orbit.satellite import Satellite


def one_each(satellites: Sequence[Satellite], sets: str = "latest") -> list[Satellite]:
    """Each satellite once, by its catalogue number, else by its name; in the order of its first.

    It is that of its latest element set. Raises ValueError for another word than latest.
    """
    if sets != "latest":
        raise ValueError(
            f"sets {sets!r} is unknown; write 'latest', and split a longer run by dates, each part "
            "with the sets before its start"
        )
    known: dict[int | str, dict[datetime, Satellite]] = {}
    for satellite in satellites:
        # Of two sets of one epoch the one that comes later corrects the other.
        known.setdefault(satellite.norad_id or satellite.name, {})[satellite.epoch] = satellite
    return [by_epoch[max(by_epoch)] for by_epoch in known.values()]
