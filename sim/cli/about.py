"""`leomix list`, `schema`, `doctor`, `check-method`, `cache` and `new`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.options import Json, print_json
from sim.errors import InputError
from sim.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping


UNWELL = 1
"""Exit status of `doctor` and `check-method` where something is wrong."""


def list_command() -> None:
    """List the shipped scenarios, and the known methods, models, data sets and policies."""
    from learning import method_names
    from learning.data import DATASETS
    from learning.methods.nmoe.gates import GATE_TRAINERS
    from learning.policies import POLICIES
    from scenarios import shipped

    rows = [[name, text] for name, text in shipped().items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name.ljust(width)}  {text}" for name, text in rows))
    print(f"\nmethods: {', '.join(method_names())}, or MODULE:CLASS")
    print(f"models: {', '.join(_model_kinds())}, or MODULE:CLASS")
    print(f"data: {', '.join(DATASETS.names())}, or MODULE:FUNCTION")
    print(f"gates of method nmoe: {', '.join(GATE_TRAINERS.names())}")
    print(f"policies of method aligned: {', '.join(POLICIES.names())}")


def _model_kinds() -> list[str]:
    """Kinds of models, shipped and installed; their register would import torch."""
    from importlib.metadata import entry_points

    from learning.architecture.kinds import KINDS

    return sorted({*KINDS, *(point.name for point in entry_points(group="leomix.models"))})


def schema_command() -> None:
    """Print the JSON schema of scenario files, for editors."""
    print_json(_schema())


def _schema() -> dict[str, Any]:
    """Return the schema of scenario files with the names and options of what is shipped."""
    from learning.architecture.kinds import KINDS
    from learning.data import DATASETS
    from learning.methods.base import METHODS
    from scenarios import schema

    models = dict.fromkeys(("learning.model.kind", "learning.sized_as.kind"), KINDS)
    kinds = {**models, "learning.data.kind": DATASETS.shipped}
    options = {name: METHODS.find(name).Options for name in METHODS.shipped}
    return schema(options, {"learning.method": options, **kinds})


def doctor_command() -> None:
    """Check this installation: import names, versions, CUDA."""

    lines, well = report()
    print("\n".join(lines))
    if not well:
        raise typer.Exit(UNWELL)


def check_method_command(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="a name, or MODULE:CLASS")],
) -> None:
    """Try on tiny runs what must hold of every method; exit 1 for one of which it does not."""
    from sim.execution.conformance import check_method

    failed = False
    for finding in check_method(method):
        print(finding, flush=True)
        failed = failed or finding.outcome == "failed"
    if failed:
        raise typer.Exit(UNWELL)


# `leomix cache`: what runs share, where it lies, and an end to it.


def cache_command(
    clear: Annotated[bool, typer.Option("--clear", help="remove all of it")] = False,
    json_: Json = False,
) -> None:
    """Show what runs share: results of training, contact windows; LEOMIX_CACHE says where."""
    from sim.execution.cache import clear_cache, contents
    from sim.execution.cache_store import cache_folder

    folder = cache_folder()
    found = clear_cache(folder) if clear else contents(folder)
    if json_:
        print_json({**found, "cleared": clear})
    else:
        print(_text(found, clear))


def _text(found: Mapping[str, Any], cleared: bool) -> str:
    from sim.formatting import data_size, table

    rows = [
        [kind, f"{row['entries']:,}", data_size(row["bytes"]), _when(row["last_used_s"])]
        for kind, row in found["kinds"].items()
    ]
    end = "removed" if cleared else f"of {data_size(found['bound_bytes'])} at most"
    return "\n".join(
        [
            f"folder  {found['folder']}",
            f"size    {data_size(found['bytes'])} {end}",
            table(["", "entries", "size", "last used"], rows),
        ]
    )


def _when(used_s: float | None) -> str:
    from datetime import UTC, datetime

    if used_s is None:
        return "-"
    return f"{datetime.fromtimestamp(used_s, UTC):%Y-%m-%d %H:%MZ}"


# Is this installation what it should be? Import names, versions, CUDA.


def report() -> tuple[list[str], bool]:
    """Return the lines of the report, and whether all is well."""
    from learning.hardware import describe
    from leomix import PACKAGES, foreign_packages
    from sim.execution.folder import versions

    complaints = foreign_packages()
    lines = [f"{name} {number}" for name, number in versions().items()]
    lines += [f"missing: {line}" for line in lines if line.endswith("not installed")]
    lines += complaints or [f"import names are leomix's own: {', '.join(PACKAGES)}"]
    lines.append(describe())
    missing = any(line.startswith("missing") for line in lines)
    return lines, not complaints and not missing


# `leomix new`.


def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="writes NAME.yaml")],
) -> None:
    """Write a first scenario of your own, with comments at what to edit."""

    path, schema = write_scenario(name)
    print(f"wrote {path}, which runs as it is, and {schema} for editors that complete keys")
    print(f"next:  leomix run {path}")
    print(f"then:  edit the places marked [1] to [4] in {path}, and leomix validate {path}")


# A first scenario of one's own: a commented file that runs as it is, and what editors want.


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
    write_text(schema, json.dumps(_schema(), indent=2) + "\n")
    write_text(path, TEMPLATE)
    return path, schema


def _path(name: str) -> Path:
    given = Path(name)
    stem = given.stem if given.suffix in (".yaml", ".yml") else given.name
    if not _NAME.fullmatch(stem):
        raise InputError(
            f"new {name!r}: is no name; give one of the letters A to Z, digits and _ . -, like mine"
        )
    import scenarios

    if stem in scenarios.shipped():
        raise InputError(f"new {name}: a shipped scenario is called {stem}; choose another name")
    return given.with_name(f"{stem}.yaml")
