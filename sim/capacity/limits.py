"""What limits a network, and plans with one more dish at a station, and without the station.

Nothing is said here: commands and pages have words for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan, nan
from typing import NamedTuple

import numpy as np

import orbit
from scenarios.faults import PlannedOutage
from sim.capacity.operations import (
    BITS_PER_GB,
    DAY_S,
    TOTAL,
    clients_of,
    ends_of,
    operations,
    total_of,
)
from sim.facts.plan import Operations
from sim.plan.contacts import ContactTable
from sim.plan.feeder import feeder_plan
from sim.plan.link_source import with_links
from sim.plan.passes import Find
from sim.plan.plan import make_plan
from sim.plan.service import served_passes
from sim.world.world import World

BLOCKED = 0.05
"""Share of blocked time from which antennas are the limit."""
IDLE = 0.01
"""Share of the served time with nothing to send from which a client has all that it asks for."""
MOST_STATIONS = 20
"""Stations up to which each is tried alone; of more, one more at each of them is one plan."""
ALL_SERVED = 0.999
"""Share of the time in view that is served from which one more beam is not tried."""
STATIONS = ("station", "gateway")
"""Kinds of rows that have dishes, and a name that a user knows."""


class DailyVolume(NamedTuple):
    """What a network carries in a day, in GB of 10^9 bytes; nan for a direction without time."""

    down_gb_a_day: float
    up_gb_a_day: float

    @property
    def most(self) -> float:
        """That of the direction that carries more."""
        return max((gb for gb in self if not isnan(gb)), default=0.0)

    def since(self, before: DailyVolume) -> float:
        """Return the share by which more is carried than before, in the direction of most."""
        return self.most / before.most - 1.0 if before.most > 0.0 else 0.0


@dataclass(frozen=True)
class Tried:
    """What is carried with ``one_more`` dish or beam at a station alone, and ``without`` it.

    None of what cannot be, as with any number of dishes. Of all that there are together, the
    ``station`` is "".
    """

    station: str
    one_more: DailyVolume | None = None
    without: DailyVolume | None = None


@dataclass(frozen=True)
class Limits:
    """What is carried ``now``, and with each change that was ``tried``."""

    now: DailyVolume
    tried: tuple[Tried, ...] = ()

    def gain(self, one: Tried) -> float:
        """Return the share that one more there adds."""
        return 0.0 if one.one_more is None else one.one_more.since(self.now)


def limited_by(rows: Sequence[Operations]) -> str:
    """Return what limits a network: ``demand``, ``antennas`` or ``visibility``.

    It is demand if every client that is served has nothing to send for a part of its service;
    antennas if clients in view wait for one for a part of the time; and else the time in view.
    """
    served = [row for row in clients_of(rows) if row.busy_hours_a_day > 0.0]
    if served and all(row.idle_share >= IDLE for row in served):
        return "demand"
    totals = [row for row in rows if row.kind == TOTAL]
    return "antennas" if any(row.blocked_share >= BLOCKED for row in totals) else "visibility"


def limiting_stations(rows: Sequence[Operations]) -> list[str]:
    """Return the names of the stations, or satellites, whose antennas are the limit."""
    return [row.name for row in limiting_rows(rows)]


def limiting_rows(rows: Sequence[Operations]) -> list[Operations]:
    """Return the rows of the stations, or satellites, whose antennas are the limit, by name."""
    if limited_by(rows) != "antennas":
        return []
    servers = [row for row in rows if row.kind != TOTAL and not isnan(row.at_a_time)]
    return [row for row in servers if row.blocked_share >= BLOCKED]


def limits_of(world: World, rows: Sequence[Operations], find: Find) -> Limits:
    """Return what one more dish, or one less, changes in a network with these rows."""
    now = _of(rows)
    ends = ends_of(rows)
    if ends[0].kind in STATIONS:
        return Limits(now, tuple(_each_station(world, ends, find)))
    more = _more_beams(world) if served_share(rows) < ALL_SERVED else None
    if more is None:
        return Limits(now)
    plan = make_plan(more, find)
    return Limits(now, (Tried("", _of(operations(plan))),))


def _of(rows: Sequence[Operations]) -> DailyVolume:
    total = total_of(rows)
    return DailyVolume(total.down_gb_a_day, total.up_gb_a_day)


def served_share(rows: Sequence[Operations]) -> float:
    """Return the share of the time in which a client is in view, of any server, that is served.

    Of gateways that of all their passes: a satellite may be in view of several.
    """
    if ends_of(rows)[0].kind == "gateway":
        total = total_of(rows)
        busy, seen = total.busy_hours_a_day, total.in_view_hours_a_day
    else:
        clients = clients_of(rows)
        busy = sum(row.busy_hours_a_day for row in clients)
        seen = sum(row.any_in_view_hours_a_day for row in clients)
    return min(busy / seen, 1.0) if seen > 0.0 else 0.0  # but for rounding


def _each_station(world: World, rows: Sequence[Operations], find: Find) -> list[Tried]:
    """Return what each station is worth that sees anything; of many, one more dish at each."""
    seen = [row for row in rows if row.passes_a_day > 0.0]
    limited = {row.name for row in seen if isfinite(row.at_a_time)}
    if len(seen) > MOST_STATIONS:
        return [Tried("", *_carried(world, [more_dishes(world, limited)], find))] if limited else []
    names = [row.name for row in seen]
    others = names if len(names) > 1 else []
    worlds = [more_dishes(world, {name}) for name in names if name in limited]
    worlds += [without(world, [name]) for name in others]
    found = iter(_carried(world, worlds, find))
    more = {name: next(found) for name in names if name in limited}
    left = {name: next(found) for name in others}
    return [Tried(name, more.get(name), left.get(name)) for name in names]


# Worlds that differ in a dish, a beam, or a station.


def more_dishes(world: World, names: Iterable[str]) -> World:
    """Return the world with one more dish at each of these stations, which have a number."""
    stations = tuple(
        station.model_copy(update={"antennas": antennas + 1})
        if station.name in names and antennas is not None
        else station
        for station, antennas in zip(world.sites.stations, world.sites.antennas, strict=True)
    )
    listed = {"stations": stations, "stations_path": None, "stations_used": None}
    return world.changed(ground=world.ground.model_copy(update=listed))


def without(world: World, names: Iterable[str]) -> World:
    """Return the world in which these stations are out from the start to the end."""
    faults = world.faults
    out = (*faults.planned, *(PlannedOutage(station=name, from_hours=0.0) for name in names))
    return world.changed(faults=faults.model_copy(update={"planned": out}))


def _more_beams(world: World) -> World | None:
    """Return the world with one more beam on every satellite, or terminal on the one that serves.

    None where they serve any number, and in slots.
    """
    if world.topology.grounded == "relay":
        isl = world.link.isl
        if isl is None or isl.terminals is None:
            return None
        more = isl.model_copy(update={"terminals": isl.terminals + 1})
        return world.changed(link=world.link.model_copy(update={"isl": more}))
    if world.slots is not None:
        return None
    source = world.service
    return world.changed(orbit=source.model_copy(update={"beams": source.beams + 1}))


# What each of them carries: dishes change who is served, and no link.


def _carried(world: World, worlds: Sequence[World], find: Find) -> list[DailyVolume]:
    """Return what is carried in worlds that differ from a world in dishes and stations alone."""
    if world.link.feeder is not None:
        return [_over_gateways(one, find) for one in worlds]
    every = served_passes(world, find)
    users = defaultdict[int, defaultdict[tuple[float, float], list[int]]](lambda: defaultdict(list))
    for place, one in enumerate(worlds):
        for number, span_s in _services(every, served_passes(one, find)):
            users[number][span_s].append(place)
    gb = np.zeros((len(worlds), 2))
    # Each as if it were served from its rise to its set.
    whole = with_links(world, replace(every, service=orbit.serve(every.windows, None)))
    for number in np.argsort(every.windows.rise_s, kind="stable").tolist():
        if number not in users:
            continue
        for way, beam in whole.links.links(number).beams:
            column = 0 if world.topology.is_down(way) else 1
            for span_s, places in users[number].items():
                bits = nan if beam is None else float(beam.saturated_bits(np.array(span_s))[0])
                gb[places, column] += bits / BITS_PER_GB
    return [DailyVolume(*row) for row in (gb * DAY_S / every.span_s).tolist()]


def _services(every: ContactTable, served: ContactTable) -> list[tuple[int, tuple[float, float]]]:
    """Return the services of passes, by their numbers among every pass of all stations."""
    there = np.isin(every.windows.satellite, served.windows.satellite)
    numbers = np.flatnonzero(there)
    assert np.array_equal(every.windows.rise_s[numbers], served.windows.rise_s)
    service = served.service
    spans_s = zip(service.start_s.tolist(), service.end_s.tolist(), strict=True)
    of_all = zip(numbers.tolist(), spans_s, service.served.tolist(), strict=True)
    return [(number, span_s) for number, span_s, is_served in of_all if is_served]


def _over_gateways(world: World, find: Find) -> DailyVolume:
    served = served_passes(world, find)
    feeder = feeder_plan(world, served.clients, served.outages, find)
    assert feeder is not None  # where gateways serve
    service = feeder.passes_seen.service
    busy_s = float(np.nansum(service.end_s - service.start_s))
    gb = feeder.rate_bps * busy_s / BITS_PER_GB * DAY_S / served.span_s
    return DailyVolume(gb, gb)
