"""What a scenario file may not ask for by itself, because somebody else may have written it.

That is Python code by ``MODULE:NAME``, and files outside its own folder by a relative path. The
user consents by an override, and for code also by an environment variable. Absolute paths are
plain to see in a file, and allowed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.errors import KeyPath, Problem, dotted, shown
from scenarios.files import HUB

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

ALLOW_CODE = "LEOMIX_ALLOW_CODE"
"""Environment variable that, when 1, lets scenario files name Python code."""
_MAY_BE_CODE = ("method", "model.kind", "sized_as.kind", "data.kind", "metrics", "options")
MOST_ENTRIES = 20_000
"""Files and folders up to which a named folder is looked through."""


def needs_consent(scenario: "Scenario", folder: Path, *, shipped: bool) -> Iterator[Problem]:
    """Yield what needs the user's consent, each with the key's path.

    ``folder`` is that of the scenario file; a ``shipped`` one has no data in its folder.
    """
    if os.environ.get(ALLOW_CODE) != "1":
        for key, name in _texts(scenario, *_MAY_BE_CODE):
            if ":" in name:
                text = f"{shown(name)} names Python code, which a scenario file may not run by "
                yield Problem(key, f"{text}itself; allow it by {ALLOW_CODE}=1, or set it by --set")
    for path, name, base in [] if shipped else _files(scenario, folder):
        if not os.path.isabs(name) and not _lies_below(base, base / name):
            text = f"{shown(name)} leads out of {shown(str(base))}"
            yield Problem(path, f"{text}; give its absolute path, or set it by --set")


def _files(scenario: "Scenario", folder: Path) -> Iterator[tuple[KeyPath, str, Path]]:
    """Yield the key's path and the name of every file, and the folder that the name starts from."""
    if (path := getattr(scenario.orbit, "path", None)) is not None:
        yield ("orbit", "path"), path, folder
    for number, cluster in enumerate(scenario.ground.clusters):
        if cluster.places_path is not None:
            yield ("ground", "clusters", number, "places_path"), cluster.places_path, folder
    if scenario.ground.stations_path is not None:
        yield ("ground", "stations_path"), scenario.ground.stations_path, folder
    isl = scenario.link.isl
    if isl is not None and isl.windows is not None and "\n" not in isl.windows:
        yield ("link", "isl", "windows"), isl.windows, folder
    for key, name in learning_files(scenario):
        if not name.startswith(HUB):
            beside = os.path.lexists(_without_null(folder / name))
            yield key, name, folder if beside else Path.cwd()


def learning_files(scenario: "Scenario") -> Iterator[tuple[KeyPath, str]]:
    """The keys that name data and weights, by path, and what they say: files, folders or others."""
    files = "model.checkpoints", "model.tokenizer", "model.adapter", "sized_as.checkpoints"
    return _texts(scenario, *files, "data.path")


def _texts(scenario: "Scenario", *keys: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield all text of `learning` whose dotted key begins with one of ``keys``, and its path."""
    inside: list[tuple[KeyPath, Any]] = [((), scenario.learning.model_dump(mode="json"))]
    while inside:
        path, value = inside.pop()
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inside += [((*path, key), inner) for key, inner in items]
        elif isinstance(value, str) and dotted(path).startswith(keys):
            yield ("learning", *path), value


def _lies_below(folder: Path, path: Path) -> bool:
    """Tell whether a path, and all that it holds, lies in a folder once links are followed."""
    base, real = os.path.realpath(folder), os.path.realpath(_without_null(path))
    if not _is_in(base, real):
        return False
    entries = 0
    for inside, folders, names in os.walk(real):
        entries += len(folders) + len(names)
        if entries > MOST_ENTRIES:
            return False
        for entry in (os.path.join(inside, name) for name in (*folders, *names)):
            if os.path.islink(entry) and not _is_in(base, os.path.realpath(entry)):
                return False
    return True


def _is_in(folder: str, path: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _without_null(path: Path) -> str:
    """Return a path without null characters, which no path has: the file is then not found."""
    return str(path).replace("\0", "?")
