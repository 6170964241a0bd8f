"""A first scenario of one's own: a commented file that runs as it is, and what editors want."""

from __future__ import annotations

import json
import re
from pathlib import Path

import scenarios
from sim.errors import InputError
from sim.writing import write_text

SCHEMA = "leomix.schema.json"
"""The schema beside the scenario, named in its first line."""

TEMPLATE = """\
# yaml-language-server: $schema=./leomix.schema.json
# Two cities train a small mixture of experts through one satellite.
#
# It runs as it is. To make it yours, edit the four places marked [1] to [4]; then
# `leomix validate FILE` says what is wrong, or what the scenario would do.
# Keys carry their units. Those that are left out take their defaults: `leomix schema` has them all.

description: Two cities, one satellite
seed: 1

stop:
  days: 3                      # [1] How long: simulated days.

orbit:
  source: tle
  # [2] Your satellite: its two lines, with or without its name above them. Or keep them in a file
  # and write `path: my.tle` in the place of `elements`. The run starts at their epoch.
  elements: |
    IRIDIUM 106
    1 41917U 17003A   26234.58488911  .00000059  00000+0  14148-4 0  9999
    2 41917  86.3915  60.7760 0002378  82.9635 277.1831 14.34217750502724
  min_elevation_deg: 10        # a contact lasts while the satellite is above this

ground:
  clusters:
    # [3] Your cities: a line for each, in degrees, north and east positive.
    - {name: Munich,  latitude_deg: 48.14, longitude_deg: 11.58, devices: 3}
    - {name: Nairobi, latitude_deg: -1.29, longitude_deg: 36.82, devices: 3}

compute:
  seconds_per_round: 60        # one round of local training on one device

learning:
  method: emsfl-enhanced       # `leomix list` has the others
  rounds:
    per_contact: 1
    per_gap_max: 3             # between two contacts
  # [4] Your data: JSON lines, one {"text": "...", "label": "..."} a line. Take the two lines at the
  # end in the place of these two; `columns` says what your file calls its text and label.
  model: {kind: vector-moe, experts: 4}
  data: {kind: digits}
  # model: {kind: mixtral, experts: 4, hidden: 64}
  # data: {kind: jsonl, path: my.jsonl, tokens: 32, columns: {text: text, label: label}}
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def write_scenario(name: str) -> tuple[Path, Path]:
    """Write a first scenario to ``name``.yaml, and the schema beside it; return both paths.

    ``name`` may say a folder, which is made. Raises InputError for a name that is taken, or that
    is none.
    """
    path = _path(name)
    if path.exists():
        raise InputError(f"new {name}: {path} is there already; choose another name")
    schema = path.with_name(SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(schema, json.dumps(scenarios.schema(), indent=2) + "\n")
    write_text(path, TEMPLATE)
    return path, schema


def _path(name: str) -> Path:
    given = Path(name)
    stem = given.stem if given.suffix in (".yaml", ".yml") else given.name
    if not _NAME.fullmatch(stem):
        raise InputError(
            f"new {name!r}: is no name; give one of the letters A to Z, digits and _ . -, like mine"
        )
    if stem in scenarios.shipped():
        raise InputError(f"new {name}: a shipped scenario is called {stem}; choose another name")
    return given.with_name(f"{stem}.yaml")
