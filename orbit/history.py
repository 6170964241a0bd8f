"""Several element sets of one satellite: at each time the set whose epoch is nearest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from orbit.checks import FloatArray, IntArray
from orbit.satellite import Satellite

Sets = Literal["nearest", "latest"]
"""Which of several element sets of one satellite are used: nearest in time, or the latest alone."""


@dataclass(frozen=True)
class History:
    """Models of one satellite by the epoch of their elements; stands where an sgp4 Satrec does.

    Up to the middle between two epochs the satellite is where the earlier set says, then where the
    later one does. All else that a Satrec has is the latest set's.
    """

    sets: tuple[Satellite, ...]

    def __getattr__(self, name: str) -> Any:
        """What the latest model says of its orbit."""
        if name.startswith("__"):  # copies ask for these before there are any sets
            raise AttributeError(name)
        return getattr(self.sets[-1].model, name)

    def sgp4_array(
        self, day: FloatArray, fraction: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Error codes (T,), positions (km) and velocities (km/s) (T, 3) in TEME at Julian dates."""
        which = np.searchsorted(self._turns, day + fraction, side="right")
        error = np.zeros(day.shape, np.int64)
        position, velocity = np.empty((2, *day.shape, 3))
        for number in np.unique(which):
            rows = which == number
            model = self.sets[number].model
            error[rows], position[rows], velocity[rows] = model.sgp4_array(
                day[rows], fraction[rows]
            )
        return error, position, velocity

    def sgp4(self, day: float, fraction: float) -> Any:
        """The same at one Julian date."""
        which = int(np.searchsorted(self._turns, day + fraction, side="right"))
        return self.sets[which].model.sgp4(day, fraction)

    def parts(self, start: datetime, span_s: float) -> Iterator[tuple[Satellite, float, float]]:
        """Each set that is used from `start` on, with the seconds from and to which it is."""
        middles = [one.epoch + (other.epoch - one.epoch) / 2 for one, other in pairwise(self.sets)]
        turns_s = [(middle - start).total_seconds() for middle in middles]
        for one, first_s, last_s in zip(
            self.sets, [-np.inf, *turns_s], [*turns_s, np.inf], strict=True
        ):
            if last_s > 0 and first_s < span_s:
                yield one, max(first_s, 0.0), min(last_s, span_s)

    @cached_property
    def _turns(self) -> FloatArray:
        """Julian dates in the middle between two epochs, to some 40 microseconds."""
        epochs = [one.model.jdsatepoch + one.model.jdsatepochF for one in self.sets]
        return np.array([(one + other) / 2 for one, other in pairwise(epochs)])


def one_each(satellites: Sequence[Satellite], sets: Sets) -> list[Satellite]:
    """Each satellite once, by its catalogue number, else by its name; in the order of its first.

    Name and epoch are those of its latest element set. With `sets` nearest its model takes at each
    time the set whose epoch is nearest. Raises ValueError for another word.
    """
    if sets not in get_args(Sets):
        raise ValueError(
            f"sets {sets!r} is unknown; write {' or '.join(map(repr, get_args(Sets)))}"
        )
    known: dict[int | str, dict[datetime, Satellite]] = {}
    for satellite in satellites:
        # Of two sets of one epoch the one that comes later corrects the other.
        known.setdefault(satellite.norad_id or satellite.name, {})[satellite.epoch] = satellite
    found = []
    for by_epoch in known.values():
        every = tuple(by_epoch[epoch] for epoch in sorted(by_epoch))
        model = every[-1].model if sets == "latest" or len(every) == 1 else History(every)
        found.append(replace(every[-1], model=model))
    return found


def sets_of(satellite: Satellite) -> tuple[Satellite, ...]:
    """The element sets of a satellite: itself, or all of its history."""
    model = satellite.model
    return model.sets if isinstance(model, History) else (satellite,)
