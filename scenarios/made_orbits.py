"""Sources with orbits made from scratch: one satellite by its elements, or a Walker pattern."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from scenarios.element_sources import NameOrNumber
from scenarios.serving_keys import Seen


def _form_of(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "degrees"
    return "sun-synchronous" if value == "sun-synchronous" else None


_DEGREES_OR_SUN_SYNCHRONOUS = Discriminator(
    _form_of,
    custom_error_type="choice",
    custom_error_message="must be a number 0..180 or 'sun-synchronous'",
)
Altitude = Annotated[float, Field(ge=160, le=2000, description="altitude above the equator, km")]
Inclination = Annotated[
    Annotated[float, Field(ge=0, le=180), Tag("degrees")]
    | Annotated[Literal["sun-synchronous"], Tag("sun-synchronous")],
    _DEGREES_OR_SUN_SYNCHRONOUS,
    Field(description="inclination, degrees; 'sun-synchronous' for the one of this altitude"),
]
Angle = Annotated[float, Field(ge=0, lt=360)]


class CircularOrbit(Seen):
    """A satellite on a circular orbit at the scenario's start."""

    source: Literal["circular"] = Field(description="circular elements")
    altitude_km: Altitude
    inclination_deg: Inclination
    raan_deg: Angle = Field(
        default=0.0, description="right ascension of the ascending node, degrees"
    )
    argument_of_latitude_deg: Angle = Field(
        default=0.0, description="angle from the ascending node at the start, degrees"
    )


class KeplerianOrbit(Seen):
    """A satellite on Brouwer mean elements at the scenario's start, as SGP4 takes them."""

    source: Literal["keplerian"] = Field(description="mean Keplerian elements")
    semi_major_axis_km: float = Field(ge=6500, le=60_000, description="semi-major axis, km")
    eccentricity: float = Field(default=0.0, ge=0, lt=1, description="eccentricity")
    inclination_deg: float = Field(ge=0, le=180, description="inclination, degrees")
    raan_deg: Angle = Field(
        default=0.0, description="right ascension of the ascending node, degrees"
    )
    argument_of_perigee_deg: Angle = Field(
        default=0.0, description="angle from the ascending node to the perigee, degrees"
    )
    mean_anomaly_deg: Angle = Field(default=0.0, description="mean anomaly at the start, degrees")
    bstar: float = Field(
        default=0.0, ge=-1, le=1, description="SGP4's drag term B*, per Earth radius; 0 for no drag"
    )


class WalkerOrbit(Seen):
    """A Walker constellation: equal circular orbits, evenly spread over planes."""

    source: Literal["walker"] = Field(description="Walker constellation")
    pattern: Literal["delta", "star"] = Field(
        default="delta", description="ascending nodes over 360 (delta) or 180 (star) degrees"
    )
    altitude_km: Altitude
    inclination_deg: Inclination
    satellites: int = Field(ge=1, le=20_000, description="number of satellites in all planes")
    planes: int = Field(ge=1, le=20_000, description="number of orbital planes")
    phasing: int = Field(
        default=0,
        ge=0,
        le=19_999,
        description="offset between neighbouring planes, in units of 360 degrees / satellites",
    )
    raan_deg: Angle = Field(
        default=0.0, description="right ascension of the first plane's ascending node, degrees"
    )
    argument_of_latitude_deg: Angle = Field(
        default=0.0, description="angle of the first satellite from its node, degrees"
    )
    serving: Literal["single", "any"] = Field(
        default="any",
        description="one satellite, or any of them: each an access point of the same server",
    )
    satellite: NameOrNumber = Field(
        default=None, min_length=1, description="name of the one satellite of serving single"
    )
