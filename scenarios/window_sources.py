"""Sources without geometry: windows that are ready, and the idealised cycle of slots."""

from typing import Literal

from pydantic import Field

from scenarios.element_sources import NameOrNumber
from scenarios.section import Section
from scenarios.serving_keys import Served


class WindowColumns(Section):
    """What the columns of a window file are called there; null where it is called as here."""

    satellite: str | None = Field(default=None, min_length=1, description="name of the satellite")
    site: str | None = Field(
        default=None, min_length=1, description="name of the site: a cluster's name"
    )
    rise_utc: str | None = Field(default=None, min_length=1, description="time of rise, UTC")
    set_utc: str | None = Field(default=None, min_length=1, description="time of set, UTC")
    duration_s: str | None = Field(
        default=None, min_length=1, description="duration, s; in place of the time of set"
    )
    culminate_utc: str | None = Field(
        default=None, min_length=1, description="time of culmination, UTC"
    )
    max_elevation_deg: str | None = Field(
        default=None, min_length=1, description="highest elevation, degrees"
    )
    min_slant_range_km: str | None = Field(
        default=None, min_length=1, description="least slant range, km"
    )


class ContactsOrbit(Served):
    """Contact windows that are ready: an export of ours, or a table of another tool."""

    source: Literal["contacts"] = Field(description="ready contact windows")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file of windows; relative paths count from the scenario file",
    )
    windows: str | None = Field(
        default=None, min_length=1, description="the file's text itself, in place of path"
    )
    satellite: NameOrNumber = Field(
        default=None,
        min_length=1,
        description="name of the one that serves, for windows of several satellites",
    )
    columns: WindowColumns = Field(
        default=WindowColumns(), description="what the file's columns are called in the file"
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
