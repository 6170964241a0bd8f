"""`orbit:` - where contacts come from; each source has keys of its own."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from scenarios.section import Section


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int and 0 <= value < 10**9 else value


class _Physical(Section):
    min_elevation_deg: float = Field(
        default=10.0,
        ge=0,
        lt=90,
        description="elevation above which a cluster has contact, degrees",
    )
    beams: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="clusters that the satellite can serve at the same time",
    )


class TleOrbit(_Physical):
    """A satellite on a published two-line element set, propagated by SGP4."""

    source: Literal["tle"] = Field(description="two-line elements")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="element file; relative paths count from the scenario file",
    )
    elements: str | None = Field(
        default=None, min_length=1, description="the element lines themselves, in place of path"
    )
    satellite: Annotated[str | None, BeforeValidator(_number_as_text)] = Field(
        default=None,
        min_length=1,
        description="name or catalogue number, for a file of several satellites",
    )
    checksum: Literal["verify", "ignore"] = Field(
        default="verify", description="whether wrong checksums are an error"
    )


class CircularOrbit(_Physical):
    """A satellite on a circular orbit at the scenario's start."""

    source: Literal["circular"] = Field(description="circular elements")
    altitude_km: float = Field(ge=160, le=2000, description="altitude above the equator, km")
    inclination_deg: float = Field(ge=0, le=180, description="inclination, degrees")
    raan_deg: float = Field(
        default=0.0, ge=0, lt=360, description="right ascension of the ascending node, degrees"
    )
    argument_of_latitude_deg: float = Field(
        default=0.0, ge=0, lt=360, description="angle from the ascending node at the start, degrees"
    )


class Slots(Section):
    """One cycle: a slot for each cluster in the order of their names, then the idle ones."""

    count: int | None = Field(
        default=None, ge=1, le=100_000, description="served slots a cycle: the number of clusters"
    )
    seconds: float = Field(default=600.0, gt=0, le=1e9, description="length of a slot, s")
    idle: int = Field(
        default=0, ge=0, le=1_000_000, description="slots a cycle in which nobody is served"
    )


class SlotOrbit(Section):
    """The idealised cycle of the EMS-FL paper: no geometry, one cluster a slot."""

    source: Literal["slots"] = Field(description="idealised cycle")
    slots: Slots = Field(default=Slots(), description="the cycle's slots")


Orbit = TleOrbit | CircularOrbit | SlotOrbit
