"""Shipped scenarios, and the files and the code that a scenario names."""

import os
import re
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.errors import KeyPath, ScenarioError, no_file, wrong
from statements import Code, Place, Statement, dotted, shown

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


MAX_BYTES = 1_000_000
MOST_BYTES_OF_TABLE = 100_000_000
"""As of all tables that `orbit` reads: a week of a constellation's links has some megabytes."""
_FOLDER = Path(__file__).parent


def shipped() -> dict[str, str]:
    """Return the shipped scenarios by name, each with the first comment line of its file."""
    names = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    return {name: _first_comment(_FOLDER / f"{name}.yaml") for name in names}


def shipped_path(name: str) -> Path:
    """Return the file of a shipped scenario; an unknown name is a ScenarioError."""
    if name not in shipped():
        raise no_file(label(name), f"is not a shipped scenario; {_near_names(name)}")
    return _FOLDER / f"{name}.yaml"


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the shipped ones."""
    return path.parent == _FOLDER


def locate(name_or_path: str | Path) -> Path:
    """Return the file of a name: a shipped scenario by its bare name, otherwise a path.

    A user's file that has the name of a shipped scenario is reached as `./name`.
    """
    if isinstance(name_or_path, str) and name_or_path in shipped():
        return shipped_path(name_or_path)
    return Path(name_or_path)


def read_text(path: Path, kind: str = "YAML file", most: int = MAX_BYTES) -> str:
    """Return the text of a scenario file; missing, too large or not text is a ScenarioError."""
    content = _content(path, most)
    if len(content) > most:
        raise no_file(label(path), f"is too large; at most {most} bytes are read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise no_file(label(path), f"is not text; save the {kind} as UTF-8, not packed")
    return text


def _content(path: Path, most: int) -> bytes:
    if "\0" in str(path):
        raise no_file(label(path), "is not a path; give a .yaml file")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise no_file(label(path), "is a folder; give a .yaml file in it")
        if not stat.S_ISREG(mode):
            raise no_file(label(path), "is not a regular file; give a .yaml file")
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise no_file(label(path), f"no such file; {_near_file(path)}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        text = f"cannot be read ({reason}); give a .yaml file"
        raise no_file(label(path), f"{text}") from None


def _near_file(path: Path) -> str:
    """Name the file with another ending, else the nearest shipped scenario."""
    whole = path.with_suffix("") if path.suffix in (".yaml", ".yml") else path
    for suffix in (".yaml", ".yml"):
        if os.path.isfile(near := f"{whole}{suffix}"):  # False for names that are too long, too
            return f"did you mean {label(near)!r}?"
    return _near_names(path.stem)


FIRST = ("quickstart", "plain-fedavg", "three-stations")
"""Shipped scenarios to begin with."""


def _near_names(name: str) -> str:
    names = list(shipped())
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"shipped are {', '.join(FIRST)} and {len(names) - len(FIRST)} others: leomix list"


def _first_comment(path: Path) -> str:
    comment = re.search(r"^# *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return "" if comment is None else comment.group(1).strip()


def label(path: str | Path) -> str:
    """Return a path for a message: on one line, and shortened where it is very long."""
    text = str(path)
    return text if text.isprintable() and len(text) < 400 else shown(text)


def origin_name(path: Path) -> str:
    """Return what messages call a scenario file: a shipped one by its name, not by its place.

    Its folder is that of the installation, where users neither edit nor put anything.
    """
    return path.stem if is_shipped(path) else label(path)


def orbit_file(scenario: "Scenario") -> Path:
    """Return the file of elements or windows that `orbit.path` names, as :func:`named_file`."""
    source: Any = scenario.orbit  # of a file, as callers know
    return named_file(scenario, source.path, "orbit.path", f"{source.file_kind} file")


def stations_file(scenario: "Scenario") -> Path:
    """Return the file of stations that `ground.stations_path` names, as :func:`named_file`."""
    named: Any = scenario.ground.stations_path
    return named_file(scenario, named, "ground.stations_path", "file of stations")


def isl_windows(scenario: "Scenario") -> tuple[str, str] | None:
    """Return the text of the windows between satellites, and what it is called; None for none.

    Raises ScenarioError if there is no such file, or it is no text.
    """
    isl = scenario.link.isl
    key = "link.isl.windows"
    if isl is None or isl.windows is None:
        return None
    if "\n" in isl.windows:
        return isl.windows, key
    path = named_file(scenario, isl.windows, key, "file of windows")
    return read_text(path, "table of windows", MOST_BYTES_OF_TABLE), label(path)


def named_file(scenario: "Scenario", name: str, key: str, kind: str) -> Path:
    """Return the file that a key names, of a ``kind``; raise ScenarioError if there is none.

    ``key`` is dotted, or that of somebody: ``ground 'A': min_elevation_deg``.
    """
    source = scenario.source_path
    yours = source is not None and is_shipped(source)  # it comes without this file
    beside = local_path(scenario, name) if yours or source is None else source.parent / name
    path = scenario.paths_from / beside
    if not os.path.isfile(path):  # False for names that are too long, too
        where = "relative paths start at the scenario file's folder"
        if yours:
            where = f"put yours into the current folder, or name it by --set {key}=FILE"
            if kind == "element file":
                where += "; celestrak.org publishes element files"
        raise _no_file(scenario, key, f"no file {label(path)}; {where}")
    return path


def _no_file(scenario: "Scenario", key: str, text: str) -> ScenarioError:
    """Return the error of a file that is named by a key, or by somebody in it: ``A: path``."""
    source = scenario.source_path
    if " " in key:
        place = None if source is None else Place(file=origin_name(source))
        return ScenarioError(Statement.of(Code.NO_FILE, "", f"{key}: {text}"), place)
    said = Statement.of(Code.NO_FILE, key, text)
    return ScenarioError(said, scenario.place_of(said.path))


# The local files and folders that `learning:` names: data, checkpoints, a tokenizer.


HUB = "hub:"
"""Prefix of names that are fetched from the hub; never a local path."""


def local_path(scenario: "Scenario", name: str) -> str:
    """Return a local path: beside the scenario's file, else from the current folder.

    A shipped scenario has no data beside it, so that what is given by `--set` counts from the
    current folder. Names of the hub are returned as they are.
    """
    if name.startswith(HUB) or scenario.source_path is None:
        return name
    beside = scenario.paths_from / scenario.source_path.parent / name
    return str(beside if beside.exists() else scenario.paths_from / name)


# What a scenario file may not ask for by itself, because somebody else may have written it: Python
# code by ``MODULE:NAME``, and files outside its own folder by a relative path. The user consents by
# an override, and for code also by an environment variable. Absolute paths are plain to see in a
# file, and allowed.


ALLOW_CODE = "LEOMIX_ALLOW_CODE"
"""Environment variable that, when 1, lets scenario files name Python code."""


_MAY_BE_CODE = ("method", "loss", "model.kind", "sized_as.kind", "data.kind", "metrics", "options")
MOST_ENTRIES = 20_000
"""Files and folders up to which a named folder is looked through."""


def needs_consent(scenario: "Scenario", folder: Path, *, shipped: bool) -> Iterator[Statement]:
    """Yield what needs the user's consent, each with the key's path.

    ``folder`` is that of the scenario file; a ``shipped`` one has no data in its folder.
    """
    if os.environ.get(ALLOW_CODE) != "1":
        for key, name in _texts(scenario, *_MAY_BE_CODE):
            if ":" in name:
                text = f"{shown(name)} names Python code, which a scenario file may not run by "
                yield wrong(
                    key,
                    f"{text}itself; allow it by {ALLOW_CODE}=1, or set it by --set",
                    Code.NO_CONSENT,
                )
    for path, name, base in [] if shipped else _files(scenario, folder):
        if not os.path.isabs(name) and not _lies_below(base, base / name):
            yield wrong(path, _leads_out(name, base), Code.NO_CONSENT)


def _leads_out(name: str, base: Path) -> str:
    """Say how a relative path leads out of its folder, and what to do: a link may be copied."""
    path = os.path.abspath(_without_null(base / name))
    folder = shown(str(base))
    if not _is_in(os.path.abspath(base), path):
        return f"{shown(name)} leads out of {folder}; give its absolute path, or set it by --set"
    real = os.path.realpath(path)
    if _is_in(os.path.realpath(base), real):
        what = f"{shown(name)} holds a link that leads out of {folder}"
        cure = "copy what it links to in its place, or name the folder by its absolute path"
        return f"{what}; {cure} or --set"
    what = f"{shown(name)} is a link to {shown(real)}, which leads out of {folder}"
    return f"{what}; copy the file in its place, or name its target by the absolute path or --set"


def _files(scenario: "Scenario", folder: Path) -> Iterator[tuple[KeyPath, str, Path]]:
    """Yield the key's path and the name of every file, and the folder that the name starts from."""
    if (path := getattr(scenario.orbit, "path", None)) is not None:
        yield ("orbit", "path"), path, folder
    for number, cluster in enumerate(scenario.ground.clusters):
        if cluster.places_path is not None:
            yield ("ground", "clusters", number, "places_path"), cluster.places_path, folder
    yield from _horizons(scenario, folder)
    if scenario.ground.stations_path is not None:
        yield ("ground", "stations_path"), scenario.ground.stations_path, folder
    isl = scenario.link.isl
    if isl is not None and isl.windows is not None and "\n" not in isl.windows:
        yield ("link", "isl", "windows"), isl.windows, folder
    for key, name in learning_files(scenario):
        if not name.startswith(HUB):
            beside = os.path.lexists(_without_null(folder / name))
            yield key, name, folder if beside else Path.cwd()


def _horizons(scenario: "Scenario", folder: Path) -> Iterator[tuple[KeyPath, str, Path]]:
    for kind in ("clusters", "stations"):
        for number, node in enumerate(getattr(scenario.ground, kind) or ()):
            if isinstance(node.min_elevation_deg, str):
                key = "ground", kind, number, "min_elevation_deg"
                yield key, node.min_elevation_deg, folder


def learning_files(scenario: "Scenario") -> Iterator[tuple[KeyPath, str]]:
    """The keys that name data and weights, by path, and what they say: files, folders or others."""
    return _texts(
        scenario,
        "model.checkpoints",
        "model.tokenizer",
        "model.adapter",
        "sized_as.checkpoints",
        "data.path",
    )


def named_code(scenario: "Scenario") -> list[str]:
    """Return the Python code that a scenario names, each ``MODULE:NAME`` once, sorted."""
    return sorted({name for _, name in _texts(scenario, *_MAY_BE_CODE) if ":" in name})


def _texts(scenario: "Scenario", *keys: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield all text of `learning` whose dotted key begins with one of ``keys``, and its path."""
    dumped = scenario.model_dump(mode="json", include={"learning"})
    for path, text in _texts_in(dumped["learning"]):
        if dotted(path).startswith(keys):
            yield ("learning", *path), text


def _texts_in(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield all text within nested mappings and lists, and its path."""
    inside: list[tuple[KeyPath, Any]] = [((), value)]
    while inside:
        path, inner = inside.pop()
        if isinstance(inner, dict | list):
            items = inner.items() if isinstance(inner, dict) else enumerate(inner)
            inside += [((*path, key), own) for key, own in items]
        elif isinstance(inner, str):
            yield path, inner


def _lies_below(folder: Path, path: Path) -> bool:
    """Tell whether a path, and all that it holds, lies in a folder once links are followed."""
    base = os.path.realpath(folder)
    real = os.path.realpath(_without_null(path))
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
