"""Tables that are known from the plan: contacts, windows between satellites, feeder links."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sim.facts.row import Flag, Instant, Real, Row, Text, Whole, column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContactRow(Row):
    """The contacts of the plan, served or not: a whole table."""

    table: ClassVar[str] = "contacts"
    order: ClassVar[tuple[str, ...]] = ("contact_id",)

    contact_id: Whole = field(metadata=column("number of the contact"))
    satellite: Text = field(metadata=column("name of the satellite"))
    norad_id: Whole = field(metadata=column("its catalogue number, if it has one"))
    cluster: Text = field(metadata=column("name of the client"))
    rise_utc: Instant = field(metadata=column("when the satellite rises"))
    culminate_utc: Instant = field(metadata=column("when it is highest"))
    set_utc: Instant = field(metadata=column("when it sets"))
    rise_s: Real = field(metadata=column("when the satellite rises"))
    set_s: Real = field(metadata=column("when it sets"))
    duration_s: Real = field(metadata=column("from rise to set"))
    max_elevation_deg: Real = field(metadata=column("elevation at culmination"))
    min_slant_range_km: Real = field(metadata=column("least distance"))
    uplink_capacity_bytes_per_device: Real = field(
        metadata=column(
            "what the device with the poorest link can upload while served, alone, to a satellite",
        )
    )
    served: Flag = field(metadata=column("whether a beam served the client"))
    service_start_s: Real = field(metadata=column("from when"))
    service_end_s: Real = field(metadata=column("until when"))
    max_doppler_hz: Real = field(metadata=column("largest shift at the client's centre"))
    residual_doppler_hz: Real = field(
        metadata=column("largest shift left where the centre's is compensated")
    )
    station: Text = field(metadata=column("access point of a flying client"))
    capacity_direction: Text = field(metadata=column("direction toward the server"))
    downlink_capacity_bytes_per_device: Real = field(metadata=column("the same to a station"))
    isl_capacity_bytes_per_device: Real = field(
        metadata=column("the same over a link between satellites")
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IslWindowRow(Row):
    """Windows in which two satellites have a link: a whole table."""

    table: ClassVar[str] = "isl_windows"
    order: ClassVar[tuple[str, ...]] = ("start_s", "a", "b")
    optional: ClassVar[bool] = True

    a: Text = field(metadata=column("one satellite"))
    b: Text = field(metadata=column("the other one"))
    start_s: Real = field(metadata=column("when the link opens"))
    end_s: Real = field(metadata=column("when it closes"))
    min_range_km: Real = field(metadata=column("least distance"))
    max_range_km: Real = field(metadata=column("greatest distance"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeederWindowRow(Row):
    """Windows in which a satellite has a feeder link to a station: a whole table."""

    table: ClassVar[str] = "feeder_windows"
    order: ClassVar[tuple[str, ...]] = ("start_s", "satellite")
    optional: ClassVar[bool] = True

    satellite: Text = field(metadata=column("name of the satellite"))
    station: Text = field(metadata=column("gateway that it has the link to"))
    start_s: Real = field(metadata=column("when the link opens"))
    end_s: Real = field(metadata=column("when it closes"))
    max_elevation_deg: Real = field(metadata=column("elevation at the culmination of the pass"))
    min_range_km: Real = field(metadata=column("least distance in the pass"))
