"""What a check is: a finding, the figure that it speaks of, and overrides that may improve that."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import scenarios


class Override(NamedTuple):
    """A key of the scenario with another value."""

    key: str
    value: Any


class RemedyFigure(NamedTuple):
    """How a figure that advice speaks of is printed, and whether less of it is better."""

    words: str
    is_cost: bool = False


REMEDY_FIGURES: Mapping[str, RemedyFigure] = {
    "device_rounds": RemedyFigure("device rounds"),
    "device_rounds_per_day": RemedyFigure("device rounds a day"),
    "updates_used": RemedyFigure("updates used"),
    "updates_used_per_day": RemedyFigure("updates used a day"),
    "mean_staleness": RemedyFigure("versions of mean staleness", is_cost=True),
    "passes_per_upload": RemedyFigure("passes per upload", is_cost=True),
    "passes_per_download": RemedyFigure("passes per download", is_cost=True),
    "uploads_delivered": RemedyFigure("uploads delivered"),
    "downloads_delivered": RemedyFigure("downloads delivered"),
    "devices_heard": RemedyFigure("devices heard"),
    "devices_training": RemedyFigure("devices that train"),
}
"""Figures of a run that a remedy may improve: each is an attribute of
:class:`~sim.analysis.checks.run.EndedRun`."""
LEAST_GAIN = 0.05
"""The share by which a figure has to improve: less may be chance of when contacts are."""


def improves(
    figure: str, before: float | None, after: float | None, least: float = LEAST_GAIN
) -> bool:
    """Whether a figure is better by at least the share ``least``."""
    if before is None or after is None:
        return False
    if REMEDY_FIGURES[figure].is_cost:
        return after < before and after <= before * (1.0 - least)
    return after > before and after >= before * (1.0 + least)


class Bottleneck(NamedTuple):
    """A sentence on a run without its stop, and what may help.

    ``figure`` is the name of an attribute of :class:`~sim.analysis.checks.run.EndedRun` and a key
    of :data:`REMEDY_FIGURES`. ``overrides`` may improve it, the first to be tried first.
    """

    sentence: str
    figure: str = ""
    overrides: tuple[Override, ...] = ()


class Check(NamedTuple):
    """What a user should know of a run: a sentence without its stop, and a remedy if one is known.

    A remedy is an override (``key`` and ``value``) with which the run was timed again: ``figure``
    is the name of what it improved, from ``before`` to ``after``. All are None without a remedy.
    """

    code: str
    sentence: str
    key: str | None = None
    value: Any = None
    figure: str | None = None
    before: float | None = None
    after: float | None = None

    @property
    def advice(self) -> str:
        """The override with what it gave, as a sentence; empty without a remedy."""
        if self.key is None:
            return ""
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value).lower()
        after, before = (_number(figure or 0.0) for figure in (self.after, self.before))
        words = REMEDY_FIGURES[self.figure or ""].words
        return f"{self.key}={value}: {after} {words} in place of {before}."

    @property
    def line(self) -> str:
        """The sentence and the advice."""
        return f"{self.sentence}. {self.advice}".rstrip()


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100.0 else f"{figure:.3g}"


def checks_in(stored: Mapping[str, Any]) -> list[Check]:
    """Return the checks of a run that its manifest, or its summary, holds."""
    return [Check(**found) for found in stored.get("checks", ())]


def value_in(scenario: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None where the scenario leaves it open."""
    found: Any = scenario
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def scaled(scenario: Mapping[str, Any], key: str, *factors: float) -> Iterator[Override]:
    """Yield a key with so many times its number; decibels are raised by that as a power.

    Yields nothing where the key has no number, or 0.
    """
    now = value_in(scenario, key)
    if not isinstance(now, int | float) or isinstance(now, bool) or not now:
        return
    for factor in factors:
        value = now + 10.0 * math.log10(factor) if "_db" in key else now * factor
        whole = isinstance(now, int) and float(value).is_integer()
        yield Override(key, int(value) if whole else float(f"{value:.3g}"))


SOME = (2.0, 4.0, 8.0)
"""Factors of a number of antennas or beams that are tried one after another."""
MORE = (10.0, 100.0, 1000.0)
"""Factors of a power or a rate that are tried one after another."""


def longer(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what lets a run go on: twice of what ends it."""
    for key in ("rounds", "cycles", "days"):
        yield from scaled(scenario, f"stop.{key}", 2.0)


def more_rounds(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what lets devices train more between two passes: no pass is needed for that."""
    for key in ("rounds.per_contact", "rounds.per_gap_max", "options.local_rounds"):
        yield from scaled(scenario, f"learning.{key}", 4.0)


def try_shorter_rounds(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what makes rounds of training shorter."""
    yield from scaled(scenario, "compute.seconds_per_round", 0.1)
    yield from scaled(scenario, "compute.tflops", 10.0)


def more_passes(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what gives clients more passes: first the mask, which costs nothing."""
    yield from scaled(scenario, "orbit.min_elevation_deg", 0.5)
    for key in ("ground.stations_used", "orbit.use.satellites_per_plane", "orbit.satellites"):
        yield from scaled(scenario, key, 2.0)


def more_service(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what serves more clients at a time."""
    at_stations = scenario["roles"]["server"] == "stations"
    yield from scaled(scenario, "ground.antennas" if at_stations else "orbit.beams", *SOME)


def try_more_links(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what lets more satellites have links to each other."""
    yield from scaled(scenario, "link.isl.terminals", 2.0)
    yield from scaled(scenario, "link.isl.grazing_km", 0.5)


def smaller_payloads(scenario: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what makes payloads smaller without another model."""
    yield from scaled(scenario, "learning.lora.rank", 0.5, 0.25)


def faster(scenario: Mapping[str, Any], directions: Collection[str]) -> Iterator[Override]:
    """Yield what raises the rate of the links over which something was sent."""
    if "isl" in directions:
        yield from scaled(scenario, "link.isl.rate_mbps", *MORE)
    resolved = {"link": scenarios.resolved_link(scenarios.from_dict(scenario))}
    for direction in sorted(directions):
        for name in ("fixed_rate_mbps", "tx_power_dbm", "eirp_dbw"):
            yield from scaled(resolved, f"link.{direction}.{name}", *MORE)
