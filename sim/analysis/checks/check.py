"""What a check is, and the keys of a scenario that one may name, each with a value to try."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple


class Key(NamedTuple):
    """A key of the scenario, and a value to try: None where nobody knows one."""

    key: str | None = None
    value: Any = None


class Check(NamedTuple):
    """What a user should know of a run: a sentence without its stop, and the key to change.

    ``value`` is one to try, None where nobody knows it.
    """

    code: str
    sentence: str
    key: str | None = None
    value: Any = None

    @property
    def advice(self) -> str:
        """The key to change, with the value to try; empty where there is none."""
        if self.key is None:
            return ""
        if self.value is None:
            return f"Key to change: {self.key}."
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"Try {self.key}={value.lower()}."

    @property
    def line(self) -> str:
        """The sentence and the advice."""
        return f"{self.sentence}. {self.advice}".rstrip()


def checks_in(stored: Mapping[str, Any]) -> list[Check]:
    """Return the checks of a run that its manifest, or its summary, holds."""
    return [
        Check(found["code"], found["sentence"], found["key"], found.get("value"))
        for found in stored.get("checks", ())
    ]


def value_in(scenario: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None where the scenario leaves it open."""
    found: Any = scenario
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def scaled(scenario: Mapping[str, Any], *moves: tuple[str, float]) -> Key:
    """Return the first key that has a number, and so many times that; of decibels, as a power.

    Where none has, the last key, whose value nobody knows.
    """
    for key, times in moves:
        now = value_in(scenario, key)
        if isinstance(now, int | float) and not isinstance(now, bool) and now:
            value = now + 10.0 * math.log10(times) if "_db" in key else now * times
            whole = isinstance(now, int) and float(value).is_integer()
            return Key(key, int(value) if whole else float(f"{value:.3g}"))
    return Key(moves[-1][0])


def longer(scenario: Mapping[str, Any]) -> Key:
    """Return what lets a run go on: twice of what ends it."""
    return scaled(scenario, *((f"stop.{key}", 2.0) for key in ("rounds", "cycles", "days")))


def shorter_rounds(scenario: Mapping[str, Any]) -> Key:
    """Return what makes rounds of training shorter."""
    return scaled(scenario, ("compute.seconds_per_round", 0.1), ("compute.tflops", 10.0))


def more_passes(scenario: Mapping[str, Any]) -> Key:
    """Return what gives clients more passes."""
    keys = ("orbit.satellites", "orbit.use.satellites_per_plane", "ground.stations_used")
    return scaled(scenario, *((key, 2.0) for key in keys), ("orbit.min_elevation_deg", 0.5))


def more_service(scenario: Mapping[str, Any]) -> Key:
    """Return what serves more clients at a time."""
    at_stations = scenario["roles"]["server"] == "stations"
    return scaled(scenario, ("ground.antennas" if at_stations else "orbit.beams", 2.0))


def more_links(scenario: Mapping[str, Any]) -> Key:
    """Return what lets more satellites have links to each other."""
    return scaled(scenario, ("link.isl.terminals", 2.0), ("link.isl.grazing_km", 0.5))


def faster_isls(scenario: Mapping[str, Any]) -> Key:
    """Return what raises the rate of links between satellites."""
    return scaled(scenario, ("link.isl.rate_mbps", 10.0))


def faster(scenario: Mapping[str, Any], directions: Collection[str]) -> Key:
    """Return what raises the rate of the link over which something was sent."""
    if "isl" in directions:
        return faster_isls(scenario)
    link = f"link.{min(directions)}"
    names = ("fixed_rate_mbps", "tx_power_dbm", "eirp_dbw")
    return scaled(scenario, *((f"{link}.{name}", 10.0) for name in names), (link, 1.0))
