"""What decides a run, as a digest: portable scenario, files by content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning.files import Fingerprints, files_under, fingerprints_under
from sim.devices.sites import device_kinds, device_places
from sim.engine.journal import Journal
from sim.engine.setup import Build
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from scenarios import Scenario


def portable(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as JSON that needs no file beside it: what they hold, not their paths."""
    import scenarios

    said: dict[str, Any] = scenario.model_dump(mode="json")
    source = scenario.orbit
    if source.source in ("tle", "omm") and source.path is not None:
        said["orbit"] |= {"path": None, "elements": _text(scenarios.element_file(scenario))}
    if source.source == "contacts" and source.path is not None:
        said["orbit"] |= {"path": None, "windows": _text(scenarios.windows_file(scenario))}
    for index, cluster in enumerate(scenario.ground.clusters):
        if cluster.places_path is not None:
            places = [asdict(site) for site in device_places(scenario, index) or ()]
            kinds = device_kinds(scenario, index)
            said["ground"]["clusters"][index] |= {
                "places_path": None,
                "places": places,
                "kinds": None
                if kinds is None
                else [kind.model_dump(mode="json") for kind in kinds],
            }
    _place_files(said["learning"], scenario)
    return said


def _place_files(learning: dict[str, Any], scenario: Scenario) -> None:
    """Name data and weights by absolute paths: too large to be held, and needed to run again."""
    model, data = learning["model"], learning["data"]
    model["checkpoints"] = [_absolute(scenario, name) for name in model["checkpoints"]]
    for section, key in ((model, "tokenizer"), (model, "adapter"), (data, "path")):
        if section[key] is not None:
            section[key] = _absolute(scenario, section[key])
    data["paths"] = {c: _absolute(scenario, name) for c, name in data["paths"].items()}


def _absolute(scenario: Scenario, name: str) -> str:
    import scenarios

    place = scenarios.local_path(scenario, name)
    return str(Path(place).resolve()) if Path(place).exists() else name


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def identity(said: dict[str, Any], plan: Plan, *earlier: Any) -> str:
    """Digest what decides a run: what its portable scenario says, and its contact windows.

    Of a fork also what it went by ``earlier``, as JSON.
    """
    said = {key: value for key, value in without_places(said).items() if key != "description"}
    windows = [(c.satellite, c.norad_id, c.rise_s, c.set_s) for c in plan.contacts]
    text = json.dumps([said, windows, *earlier], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


Fork = dict[str, Any]
"""What the manifest of a fork says of it, as JSON."""


@dataclass(frozen=True)
class Course:
    """The build that a run begins with, and ``turns``: when it goes over to which other one.

    ``name`` is what the run is called. A ``fork`` says of whom it is one, and brings along what is
    known of its beginning: a ``journal``, and a folder of ``values`` by key.
    """

    first: Build
    turns: tuple[tuple[float, Build], ...] = ()
    name: str = "scenario"
    fork: Fork | None = None
    journal: Journal = field(default_factory=Journal)
    values: Path | None = None

    @property
    def last(self) -> Build:
        """The build that the run ends with, and whose plan holds all contacts of the run."""
        return self.turns[-1][1] if self.turns else self.first

    @cached_property
    def scenario_json(self) -> dict[str, Any]:
        """The scenario that the run ends with, as JSON that needs no file beside it."""
        return portable(self.last.scenario)

    @cached_property
    def identity(self) -> str:
        """A digest of what decides the run."""
        earlier = [] if self.fork is None else [earlier_of(self.fork)]
        return identity(self.scenario_json, self.last.plan, *earlier)


def course_of(built: Build) -> Course:
    """Return the course of a run that is no fork."""
    path = built.scenario.source_path
    return Course(built, name=path.stem if path else "scenario")


def earlier_of(fork: Fork) -> list[Any]:
    """Return when a fork turned and from what, and those that it is a fork of: what decides it."""
    before = [] if fork["of"] is None else earlier_of(fork["of"])
    return [*before, [fork["at_s"], fork["was"]]]


# What local files and folders hold, as short digests: two runs of the same data are the same.


WHOLE_BYTES = 200_000_000
"""Files up to this size are read as a whole."""

ENDS_BYTES = 1_000_000
"""Of a larger one (weights) this much at either end: header, first and last tensors."""


def fingerprint(name: str) -> str:
    """Return a digest of a file, or of all files in a folder; the name itself if there is none."""
    if not (files := files_under(name)):
        return name
    if files == [Path(name)]:
        return _of_file(files[0])
    parts = [(str(file.relative_to(name)), _of_file(file)) for file in files]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def without_places(said: dict[str, Any]) -> dict[str, Any]:
    """Return a portable scenario with digests of what it learns from in place of paths."""
    learning = said["learning"]
    model, data = dict(learning["model"]), dict(learning["data"])
    model["checkpoints"] = [fingerprint(name) for name in model["checkpoints"]]
    for section, key in ((model, "tokenizer"), (model, "adapter"), (data, "path")):
        section[key] = None if section[key] is None else fingerprint(section[key])
    data["paths"] = {cluster: fingerprint(name) for cluster, name in data["paths"].items()}
    return {**said, "learning": {**learning, "model": model, "data": data}}


def _of_file(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            digest.update(file.read(ENDS_BYTES))
            file.seek(size - ENDS_BYTES)
            digest.update(file.read())
    return digest.hexdigest()


# The digest of a resolved scenario, which names the folder of its run.


DIGEST_BYTES = 12
OUTSIDE = ("description",)
"""Keys of a scenario that change nothing in a run."""


def digest_of(scenario: Scenario) -> str:
    """Return 24 hexadecimal digits of what ``scenario`` says, in all that changes a run.

    Files that it names count by what they hold and not by where they lie.
    """
    said = {key: value for key, value in portable(scenario).items() if key not in OUTSIDE}
    named = _named(said["learning"])
    files = _files(json.dumps(named), fingerprints_under(_places(named)))
    text = json.dumps([said | {"learning": _merged(said["learning"], files)}], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _named(learning: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the keys of a learning section that name files."""
    named = {"model": ("checkpoints", "tokenizer", "adapter"), "data": ("path", "paths")}
    return {part: {key: learning[part][key] for key in keys} for part, keys in named.items()}


def _merged(learning: dict[str, Any], files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return learning | {part: learning[part] | held for part, held in files.items()}


def _places(named: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of all files and folders."""
    model, data = named["model"], named["data"]
    alone = [model["tokenizer"], model["adapter"], data["path"]]
    return [*model["checkpoints"], *data["paths"].values(), *(name for name in alone if name)]


@cache
def _files(named: str, when: Fingerprints) -> dict[str, dict[str, Any]]:
    """Return digests of the files that are named: read once, unless they change."""
    found: dict[str, dict[str, Any]] = without_places({"learning": json.loads(named)})["learning"]
    return found
