"""A satellite with its SGP4 model, and one for several sets of elements; errors of elements."""

import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import tau
from typing import Any, Protocol, Self

from orbit.checks import BrokenFile
from orbit.utc import of_julian_date, to_second

_DAY_MIN = 1440.0
_LONGEST_NAME = 60
_ALPHA_5 = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_CATALOGUE_NUMBER = re.compile(rf"(?:([{_ALPHA_5}])(?=\d{{4}}$))?(\d{{1,9}})", re.ASCII)


@dataclass(frozen=True)
class Satellite:
    """A satellite: its name, catalogue number, epoch (aware UTC) and SGP4 model (an sgp4 Satrec).

    The catalogue number has up to nine digits, 0 where there is none. `made` is true for an orbit
    made from scratch at its epoch: such elements do not age as observed ones do. `plane` names the
    plane of a Walker pattern, and is empty for others. Two are equal when name, number and epoch
    are.
    """

    name: str
    norad_id: int
    epoch: datetime
    model: Any = field(compare=False)
    made: bool = field(default=False, compare=False)
    plane: str = field(default="", compare=False)

    @classmethod
    def of_model(cls, name: str, model: Any) -> Self:
        """A satellite with the catalogue number and the epoch of its model."""
        epoch = of_julian_date(model.jdsatepoch, model.jdsatepochF)
        return cls(name, model.satnum, epoch, model)

    @property
    def revolutions_per_day(self) -> float:
        """Mean motion after Kozai, as element sets state it."""
        return float(self.model.no_kozai) * _DAY_MIN / tau

    def __repr__(self) -> str:
        """One line, without the model."""
        epoch = to_second(self.epoch)
        return f"Satellite({self.name!r}, norad_id={self.norad_id}, epoch={epoch})"


class ElementError(BrokenFile):
    """Elements that cannot be used.

    The message is one line: `file:line` or `file entry N`, the satellite's name or number in
    brackets where it can be read, what is wrong, and how to mend it.
    """

    @classmethod
    def at(cls, where: str, name: str, what: str, remedy: str) -> Self:
        """Word the line from its parts; an empty name is left out."""
        whose = f" ({' '.join(name[:_LONGEST_NAME].split())})" if name else ""
        return cls(f"{where}{whose}: {what}; {remedy}")


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def norad_id(self) -> int: ...


def own_names(satellites: Sequence[_Named]) -> list[str]:
    """The name of each; where several have the same, with the catalogue number: `ISS DEB (44303)`.

    Element sets of one number keep one name. Those without a number (0) keep theirs.
    """
    numbers = defaultdict[str, set[int]](set)
    for satellite in satellites:
        numbers[satellite.name].add(satellite.norad_id)
    return [
        f"{one.name} ({one.norad_id})" if len(numbers[one.name]) > 1 and one.norad_id else one.name
        for one in satellites
    ]


def catalogue_number(text: str) -> int | None:
    """The catalogue number that digits or an alpha-5 text name (00005, T0000); None for others.

    Alpha-5 has a letter but I and O for ten thousands from 10 on: A0000 is 100000.
    """
    match = _CATALOGUE_NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    letter, digits = match.groups()
    return int(digits) + 10_000 * (_ALPHA_5.index(letter) + 10 if letter else 0)


def not_tiny(inclination_deg: float) -> float:
    """The inclination, or 0 where SGP4's divisions by its sine would overflow into nan."""
    return inclination_deg if inclination_deg > 1e-100 else 0.0


def as_satellite(thing: Any) -> Satellite:
    """Return a Satellite as it is, and a Skyfield `EarthSatellite` as a Satellite.

    The SGP4 model is shared, not copied; one without a name is named by its catalogue number.
    Raises ValueError for anything else.
    """
    if isinstance(thing, Satellite):
        return thing
    # Where Skyfield has not been imported, nobody can hold one of its satellites.
    skyfield = sys.modules.get("skyfield.sgp4lib")
    if skyfield is None or not isinstance(thing, skyfield.EarthSatellite):
        raise ValueError(
            f"a {type(thing).__name__} is no satellite; give one of orbit.read_satellites, one "
            "made by orbit, or a Skyfield EarthSatellite"
        )
    model = thing.model
    return Satellite.of_model(thing.name or str(model.satnum), model)
