"""Skyfield's own satellites, taken as they are."""

import sys
from typing import Any

from orbit.elements import Satellite, epoch_of


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
    return Satellite(thing.name or str(model.satnum), model.satnum, epoch_of(model), model)
