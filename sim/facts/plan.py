"""Tables that are known from the plan: contacts, windows between satellites, feeder links."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import ClassVar

from sim.facts.row import (
    Flag,
    Instant,
    OneReal,
    OneText,
    Real,
    Row,
    Text,
    Whole,
    column,
    columns_of,
)


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operations(Row):
    """What an end of links does in a day in the mean, or all ends of a kind together (``total``).

    It serves so many others ``at_a_time``: the dishes of a station, the beams of a satellite; inf
    for any number, nan for who is served. A pass is in view from rise to set, and served while it
    has a dish or beam. GB are 10^9 bytes on the air, ``down`` from space to the ground (or, without
    a ground, from the satellite that serves to the others), if everybody who is served sends all
    the time; nan where that direction is neglected.
    """

    table: ClassVar[str] = "capacity"
    order: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = True

    kind: OneText = field(
        metadata=column("station, cluster, gateway, relay, satellite, or total: all of a kind")
    )
    name: OneText = field(metadata=column("its name; of a total like 2 stations"))
    at_a_time: OneReal = field(
        metadata=column("how many it serves at a time; null for any number, and who is served")
    )
    passes_a_day: OneReal = field(metadata=column("passes a day"))
    served_a_day: OneReal = field(metadata=column("of these, those that get a dish or beam"))
    in_view_hours_a_day: OneReal = field(metadata=column("from rise to set, summed over passes"))
    any_in_view_hours_a_day: OneReal = field(metadata=column("the same, each time counted once"))
    busy_hours_a_day: OneReal = field(metadata=column("while served, summed over passes"))
    blocked_share: OneReal = field(
        metadata=column(
            "share of the time in view with something to send in which a client is not served "
            "while every antenna in view is busy",
        )
    )
    idle_share: OneReal = field(
        metadata=column("share of the served time in which clients have nothing to send")
    )
    setup_hours_a_day: OneReal = field(
        metadata=column("beside these, dishes turn and acquire; null where that takes no time")
    )
    down_gb_a_day: OneReal = field(metadata=column("10^9 bytes on the air, to the ground"))
    up_gb_a_day: OneReal = field(metadata=column("the same to space"))
    largest_down_gb_per_pass: OneReal = field(metadata=column("largest file of a service, down"))
    largest_up_gb_per_pass: OneReal = field(metadata=column("the same up"))
    largest_down_gb_in_a_day: OneReal = field(
        metadata=column("largest file that a day of 24 h from the start brings down")
    )
    largest_up_gb_in_a_day: OneReal = field(metadata=column("the same up"))
    longest_gap_hours: OneReal = field(metadata=column("longest time without a service"))
    longest_gap_over_links_hours: OneReal = field(
        default=nan, metadata=column("longest time without a way over links between satellites")
    )
    over_links_gb_a_day: OneReal = field(
        default=nan, metadata=column("what it could send over these links, if alone")
    )


FIGURES_OF_OPERATIONS = tuple(column.name for column in columns_of(Operations))[2:]
"""All columns behind kind and name, which are numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PayloadRow(Row):
    """Payloads of a network study, as they got through: a whole table."""

    table: ClassVar[str] = "payloads"
    order: ClassVar[tuple[str, ...]] = ("client", "direction", "ready_s")
    optional: ClassVar[bool] = True

    name: Text = field(metadata=column("name of the traffic"))
    direction: Text = field(metadata=column("down from satellites, or up"))
    client: Text = field(metadata=column("who sends it, or gets it"))
    device: Whole = field(metadata=column("which device of the cluster; null for a satellite"))
    ready_s: Real = field(metadata=column("when it arises"))
    through_s: Real = field(metadata=column("when its last bit has gone; null if not by the end"))
    services: Whole = field(metadata=column("services that carried a part of it"))
