"""The files that a scenario names: elements, windows and places, found from its folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from scenarios.element_sources import OmmOrbit, TleOrbit
from scenarios.errors import ScenarioError
from scenarios.files import label
from scenarios.window_sources import ContactsOrbit

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


def element_file(scenario: "Scenario") -> Path:
    """Return the element file of a scenario with source `tle` or `omm`.

    Raises
    ------
    ScenarioError
        if the scenario names no element file, or there is no such file.
    """
    orbit = scenario.orbit
    path = orbit.path if isinstance(orbit, TleOrbit | OmmOrbit) else None
    return _found(scenario, path, "orbit.path", "element file")


def windows_file(scenario: "Scenario") -> Path:
    """Return the file of ready windows of a scenario with source `contacts`.

    Raises
    ------
    ScenarioError
        if the scenario names no window file, or there is no such file.
    """
    orbit = scenario.orbit
    path = orbit.path if isinstance(orbit, ContactsOrbit) else None
    return _found(scenario, path, "orbit.path", "window file")


def places_file(scenario: "Scenario", index: int) -> Path:
    """Return the file with the places of a cluster's devices; `index` counts clusters by name.

    Raises
    ------
    ScenarioError
        if the cluster names no such file, or it is not there.
    """
    cluster = scenario.ground.clusters[index]
    key = f"ground.clusters {cluster.name!r}: places_path"
    return _found(scenario, cluster.places_path, key, "file of places")


def _found(scenario: "Scenario", name: str | None, key: str, kind: str) -> Path:
    source = scenario.source_path
    prefix = key if source is None else f"{label(source)}: {key}"
    if name is None:
        raise ScenarioError(f"{prefix}: is not given; there is no {kind} to read")
    path = name if source is None else source.parent / name
    if not _is_file(Path(path)):
        text = f"no file {label(path)}; relative paths count from the scenario file"
        raise ScenarioError(f"{prefix}: {text}")
    return Path(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False
