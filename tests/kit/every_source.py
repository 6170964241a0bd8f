"""A right scenario for every source of contacts, and every key of the schema in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

import scenarios
from scenarios.orbit import SOURCES, WithService

ORBITS: dict[str, dict[str, Any]] = {
    "tle": {"source": "tle", "path": "x.tle"},
    "omm": {"source": "omm", "path": "x.json"},
    "circular": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "keplerian": {"source": "keplerian", "semi_major_axis_km": 26_600, "inclination_deg": 63.4},
    "walker": {"source": "walker", "altitude_km": 600, "inclination_deg": "sun-synchronous",
               "satellites": 12, "planes": 3},
    "contacts": {"source": "contacts", "path": "x.csv"},
    "slots": {"source": "slots"},
}  # fmt: skip
SEEN = [source for source in ORBITS if SOURCES[source].has_geometry]
SERVED = [source for source in ORBITS if issubclass(SOURCES[source], WithService)]
CIRCULAR = """\
start: 2026-08-22T00:00:00Z
stop: {days: 1}
orbit:
  source: circular
  altitude_km: 600
  inclination_deg: 97.8
ground:
  clusters:
    - {name: Munich, latitude_deg: 48.1, longitude_deg: 11.6, devices: 5}
    - {name: Bern, latitude_deg: 46.9, longitude_deg: 7.4}
"""


def changed(source: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The scenario of a source with dotted keys set, and with the sections that they lie in."""
    place = {"latitude_deg": 48.1, "longitude_deg": 11.6} if source in SEEN else {}
    mapping = {
        "start": "2026-08-22T00:00:00Z",
        "stop": {"cycles": 4, "days": 1},
        "orbit": dict(ORBITS[source]),
        "ground": {"clusters": [{"name": "A", **place}]},
        "link": {"preset": "physical" if source in SEEN else "paper"},
        "learning": {},
    }
    for section, least in AROUND.items():
        if any(key.startswith(f"{section}.") for key in changes):
            scenarios.set_key(mapping, section, deepcopy(least))
    for key, value in changes.items():
        scenarios.set_key(mapping, key, deepcopy(value))
    return mapping


def read(source: str, changes: dict[str, Any]) -> scenarios.Scenario:
    return scenarios.from_dict(changed(source, changes))


def refused(source: str, changes: dict[str, Any]) -> str:
    """The one line that refuses the scenario of a source with dotted keys set."""
    with pytest.raises(scenarios.ScenarioError) as caught:
        read(source, changes)
    [line] = str(caught.value).splitlines()
    return line


SCHEMA = scenarios.schema()
AROUND: dict[str, Any] = {
    "traffic": [{"name": "image", "payload_mb": 1, "direction": "up"}],
    "link.station": {"dish_m": 13, "band": "X"},
    "start": {"after": "2026-08-22T00:00:00Z", "within_days": 1},
    "orbit.shells": [{"altitude_km": 600, "inclination_deg": 60, "satellites": 4, "planes": 2}],
    "ground.clusters.0.places": [{"latitude_deg": 48.2, "longitude_deg": 11.5}],
    "ground.clusters.0.kinds": [{"devices": 1}],
    "ground.clusters.0.kinds.0": {"devices": 1},
    "ground.stations": [{"name": "A", "latitude_deg": 48.1, "longitude_deg": 11.6}],
    "compute.battery": {"capacity_wh": 1, "charge_w": 1},
    "faults.planned": [{"cluster": "A", "from_hours": 0}],
    "faults.outages": {"per_day": 1},
    "faults.churn": {"mean_present_hours": 1},
    "faults.stragglers": {"share": 0.5},
    "faults.packets": {"loss": 0.1},
}
"""Sections that are not there by default, with as little as they need."""


def forms_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a key may be, without null."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    listed = schema.get("anyOf") or schema.get("oneOf")
    forms = [form for inner in listed for form in forms_of(inner)] if listed else [schema]
    return [form for form in forms if form.get("type") != "null"]


def leaves(section: dict[str, Any], path: str, source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted keys of a section and of those in it, for one source, and each form of each."""
    for key, value in section["properties"].items():
        for form in forms_of(value):
            item = forms_of(form["items"])[0] if "items" in form else {}
            if form.get("properties", {}).get("source", {}).get("const", source) != source:
                continue
            if "properties" in form or "properties" in item:
                inner, list_of = (form, "") if "properties" in form else (item, "0.")
                yield from leaves(inner, f"{path}{key}.{list_of}", source)
            else:
                yield f"{path}{key}", form


SPOTS = {
    (source, key): form
    for source in ORBITS
    for key, form in leaves(SCHEMA, "", source)
    if (key.startswith("orbit.") or source == "circular") and key != "orbit.satellite"
}
"""Sources and dotted keys of all that is no section, and what may stand there."""
