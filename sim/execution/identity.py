"""What decides a run, as a digest: portable scenario, files by content."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Any, cast

import numpy as np

import scenarios
from learning.files import Fingerprints, files_under, fingerprints_under
from learning.learner import Learner
from learning.own.code import code_digest
from learning.own.imports import take_file
from scenarios.files import learning_files, named_code
from scenarios.orbit import OfFile
from sim.engine.setup import Build
from sim.errors import as_input
from sim.plan.plan import Plan
from sim.trace.digest import json_digest
from sim.world.sites import Sites, place_keys
from sim.world.world import World


def portable(world: World) -> dict[str, Any]:
    """Return the scenario as JSON that needs no file beside it: what they hold, not their paths."""
    scenario, sites = world.scenario, world.sites
    stored: dict[str, Any] = scenario.model_dump(mode="json")
    source = scenario.orbit
    if isinstance(source, OfFile) and source.path is not None:
        text = scenarios.orbit_file(scenario).read_text(encoding="utf-8-sig")
        stored["orbit"] |= {"path": None, source.held_as: text}
    for index, cluster in enumerate(scenario.ground.clusters):
        if cluster.places_path is not None:
            places = [place_keys(site) for site in sites.places_of(index) or ()]
            kinds = sites.kinds_of(index)
            dumped = None if kinds is None else [kind.model_dump(mode="json") for kind in kinds]
            cluster_json = stored["ground"]["clusters"][index]
            cluster_json |= {"places_path": None, "places": places, "kinds": dumped}
    _hold_horizons(sites, stored)
    if scenario.ground.stations_path is not None:
        used = [station.model_dump(mode="json", warnings=False) for station in sites.stations]
        stored["ground"] |= {"stations_path": None, "stations_used": None, "stations": used}
    if (isls := scenarios.isl_windows(scenario)) is not None:
        stored["link"]["isl"]["windows"] = isls[0]

    # Data and weights are too large to be held, and needed to run again.
    def absolute(name: str) -> str:
        place = Path(scenarios.local_path(scenario, name))
        return str(place.resolve()) if place.exists() else name

    _rename(stored["learning"], world, absolute)
    return stored


def _hold_horizons(sites: Sites, stored: dict[str, Any]) -> None:
    """Put horizons, in place, where their files are named."""
    for kind in ("clusters", "stations"):
        nodes = getattr(sites.scenario.ground, kind) or ()
        for node, keys in zip(nodes, stored["ground"][kind] or (), strict=True):
            if isinstance(node.min_elevation_deg, str):
                mask = sites.mask_of(node)
                assert isinstance(mask, tuple)  # of a file
                keys["min_elevation_deg"] = [list(pair) for pair in mask]


def _rename(learning: dict[str, Any], world: World, change: Callable[[str], str]) -> None:
    """Change, in place, the names of the files in a learning section as JSON."""
    for (_, *inner, last), _ in learning_files(world.scenario):
        section: Any = reduce(getitem, inner, cast("Any", learning))
        section[last] = change(section[last])


OUTSIDE = ("description",)
"""Keys of a scenario that change nothing in a run."""


def decisive(world: World, stored: dict[str, Any]) -> dict[str, Any]:
    """Return all of ``stored`` that changes a run; files that it names count by what they hold."""
    kept = deepcopy({key: value for key, value in stored.items() if key not in OUTSIDE})
    _rename(kept["learning"], world, fingerprint)
    return kept


CodeDigests = dict[str, str]
"""Digests of the files of code of one's own, by the ``MODULE:NAME`` that a scenario names."""


def code_of(world: World, *, running: bool = False) -> CodeDigests:
    """Return the digest of each code of one's own, but for what has no file of its own.

    Code of a Flower app lies where nobody looks before the app runs.
    """
    learning = world.scenario.learning
    options = {} if learning is None else learning.options
    for name in (options.get("server"), options.get("client")):
        if "app" in options and isinstance(name, str):
            module = name.partition(":")[0].partition(".")[0]
            take_file(Path(str(options["app"])).resolve() / f"{module}.py")
    found = {name: code_digest(name, running=running) for name in named_code(world.scenario)}
    return {name: digest for name, digest in found.items() if digest}


@dataclass(frozen=True)
class PointIdentity:
    """Digests of all that changes a run, of all ``besides_code``, and of ``code`` of one's own.

    Each has 24 hexadecimal digits; the first, ``digest``, names the run's folder in a sweep.
    """

    besides_code: str
    code: CodeDigests
    digest: str


def point_identity(world: World) -> PointIdentity:
    """Return what tells a scenario's run from others, wherever the scenario lies."""
    what = decisive(world, portable(world))
    code = code_of(world)
    besides_code = json_digest([what], 12)
    return PointIdentity(
        besides_code, code, json_digest([what, code], 12) if code else besides_code
    )


WHOLE_BYTES = 200_000_000
"""Files up to this size are read as a whole."""

ENDS_BYTES = 1_000_000
"""Of a larger one (weights) this much at either end: header, first and last tensors."""


def fingerprint(name: str) -> str:
    """Return a digest of a file, or of all in a folder; the name itself if there is none."""
    return _fingerprint(name, fingerprints_under([name]))


@cache
def _fingerprint(name: str, _when: Fingerprints) -> str:
    if not (files := files_under(name)):
        return name
    if files == [Path(name)]:
        return _of_file(files[0])
    parts = [(str(file.relative_to(name)), _of_file(file)) for file in files]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _of_file(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size > WHOLE_BYTES:
            digest.update(file.read(ENDS_BYTES))
            file.seek(size - ENDS_BYTES)
        digest.update(file.read())
    return digest.hexdigest()


class Named:
    """A world with its plan under the ``name`` of its run: digests of what decides the run."""

    def __init__(self, world: World, plan: Plan, name: str = "scenario") -> None:
        self.world = world
        self.plan = plan
        self.name = name

    @cached_property
    def scenario_json(self) -> dict[str, Any]:
        """The scenario, as JSON that needs no file beside it."""
        return portable(self.world)

    @cached_property
    def code(self) -> CodeDigests:
        """Digests of the code of one's own, as this process has it."""
        return code_of(self.world, running=True)

    @cached_property
    def checkpoints(self) -> dict[str, str]:
        """Digests of the checkpoints that the model is read from, by their absolute paths."""
        if self.world.scenario.learning is None:
            return {}
        named = self.scenario_json["learning"]["model"]["checkpoints"]
        return {name: fingerprint(name) for name in named}

    @property
    def stop(self) -> dict[str, Any]:
        """When the run stops, as JSON."""
        stop: dict[str, Any] = self.scenario_json["stop"]
        return stop

    @cached_property
    def besides_stop(self) -> str:
        """A digest of scenario and code of one's own, but for when the run stops."""
        what = decisive(self.world, self.scenario_json)
        del what["stop"]
        return json_digest([what, self.code])

    def made_by_code(self, names: Collection[str]) -> dict[str, str]:
        """Return digests of what custom code makes now; a study, which learns nothing, has none."""
        return {}

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint says of its run, as JSON."""
        return {"identity": self.identity, "besides_stop": self.besides_stop, "stop": self.stop}

    @cached_property
    def identity(self) -> str:
        """A digest of scenario, contacts and code of one's own."""
        contacts = self.plan.contacts
        named, satellite = np.unique(contacts.server, return_inverse=True)
        satellites = [contacts.servers[place] for place in named.tolist()]
        code = [self.code] if self.code else []
        # Of a constellation there are many contacts: as text they take longer than to find them.
        columns = (satellite.astype("<i8"), contacts.rise_s, contacts.set_s)
        return json_digest(
            [decisive(self.world, self.scenario_json), satellites, *code],
            binary=b"".join(column.tobytes() for column in columns),
        )


class NamedBuild(Named):
    """The ``build`` of a run under its name."""

    def __init__(self, build: Build, name: str = "scenario") -> None:
        super().__init__(build.world, build.plan, name)
        self.build = build

    def made_by_code(self, names: Collection[str]) -> dict[str, str]:
        """Return digests of what custom code makes now, of these names where a method makes it."""
        with as_input(origin=self.world):
            if not self.build.method.traits.own_learning:
                return made_by_code(self.build.learner)
            method = self.build.new_method()
            try:
                return method.made_by_code(names)
            finally:
                method.dismiss()


def made_by_code(learner: Learner) -> dict[str, str]:
    """Return digests of the data and start weights that custom code makes for a learner now."""
    if not learner.trains:
        return {}
    _ = learner.task  # made here, if it was not
    return learner.made_by_code()


def changed_code(before: CodeDigests, now: CodeDigests) -> list[str]:
    """Return the ``MODULE:NAME`` whose files have changed, or that only one of the two has."""
    return sorted(n for n in {*before, *now} if before.get(n) != now.get(n))


def changed_checkpoints(manifest: Mapping[str, Any], named: Named) -> list[str]:
    """Return the checkpoints whose files are not those that the run of a manifest has read."""
    before = manifest.get("checkpoints", {})
    return [name for name, now in named.checkpoints.items() if before.get(name, now) != now]
