"""Rules between the keys of a source, and between the source and the scenario's start."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.element_sources import OmmOrbit, TleOrbit
from scenarios.errors import Problem
from scenarios.made_orbits import CircularOrbit, KeplerianOrbit, WalkerOrbit
from scenarios.section import Section
from scenarios.serving_keys import ONLY_WITH_ANY, Served
from scenarios.window_sources import ContactsOrbit, SlotOrbit

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

EARTH_RADIUS_KM = 6378.135  # WGS 72, the ellipsoid of SGP4
LOWEST_PERIGEE_KM = 120.0


def orbit_problems(scenario: "Scenario") -> Iterator[Problem]:
    """Yield what does not fit together in the source, with paths from the scenario's top."""
    orbit = scenario.orbit
    if isinstance(orbit, CircularOrbit | KeplerianOrbit | WalkerOrbit) and scenario.start is None:
        text = f"is missing; source {orbit.source!r} has no epoch, so write it like "
        yield Problem(("start",), f"{text}2026-08-22T00:00:00Z")
    for problem in [*_of_source(orbit, len(scenario.ground.clusters)), *_of_serving(orbit)]:
        yield Problem(("orbit", *problem.path), problem.text)


def _of_source(orbit: Section, clusters: int) -> Iterator[Problem]:
    if isinstance(orbit, TleOrbit | OmmOrbit):
        yield from _one_text(orbit.path, orbit.elements, "element", "elements")
    elif isinstance(orbit, ContactsOrbit):
        yield from _one_text(orbit.path, orbit.windows, "window", "windows")
        yield from _no_elevation(orbit)
    elif isinstance(orbit, KeplerianOrbit):
        yield from _perigee(orbit)
    elif isinstance(orbit, WalkerOrbit):
        yield from _pattern(orbit)
    elif isinstance(orbit, SlotOrbit):
        yield from _slot_count(orbit, clusters)


def _one_text(path: str | None, text: str | None, kind: str, key: str) -> Iterator[Problem]:
    if path is None and text is None:
        yield Problem(("path",), f"is missing; give the {kind} file, or {key} with the lines")
    if path is not None and text is not None:
        yield Problem((key,), "cannot stand beside orbit.path; keep one of the two")


def _no_elevation(orbit: ContactsOrbit) -> Iterator[Problem]:
    others = {"priority": "least_recently_served", "hand_over": "longest_remaining"}
    for key, other in others.items():
        if getattr(orbit, key) == "highest_elevation":
            text = (
                f"got 'highest_elevation', but source 'contacts' has no elevations; use {other!r}"
            )
            yield Problem((key,), text)


def _perigee(orbit: KeplerianOrbit) -> Iterator[Problem]:
    height_km = orbit.semi_major_axis_km * (1.0 - orbit.eccentricity) - EARTH_RADIUS_KM
    if height_km < LOWEST_PERIGEE_KM:
        text = (
            f"got {orbit.eccentricity:g}; puts the perigee at {height_km:.0f} km of altitude, and "
            f"it must be at least {LOWEST_PERIGEE_KM:g} km: lower it, or raise semi_major_axis_km"
        )
        yield Problem(("eccentricity",), text)


def _pattern(orbit: WalkerOrbit) -> Iterator[Problem]:
    if orbit.satellites % orbit.planes:
        text = f"got {orbit.satellites}; must be a multiple of orbit.planes, {orbit.planes}"
        yield Problem(("satellites",), text)
    if orbit.phasing >= orbit.planes:
        text = f"got {orbit.phasing}; must be below orbit.planes, {orbit.planes}"
        yield Problem(("phasing",), text)


def _slot_count(orbit: SlotOrbit, clusters: int) -> Iterator[Problem]:
    count = orbit.slots.count
    if count not in (None, clusters):
        text = f"got {count}; must be the number of clusters, {clusters} (or leave it out)"
        yield Problem(("slots", "count"), text)


def _of_serving(orbit: Section) -> Iterator[Problem]:
    if not isinstance(orbit, Served):
        return
    if orbit.serving == "single":
        for key in ONLY_WITH_ANY:
            if getattr(orbit, key) is not None:
                yield Problem((key,), "is not used with serving 'single'; set serving: any")
        return
    if getattr(orbit, "satellite", None) is not None:
        yield Problem(("satellite",), "is not used with serving 'any'; set serving: single")
    if orbit.session == "contact" and orbit.hand_over_gap_s is not None:
        text = "is not used with session 'contact'; set session: joined"
        yield Problem(("hand_over_gap_s",), text)
