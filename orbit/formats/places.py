"""Sites read from tables and GeoJSON, and horizons from texts and files."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from math import isclose
from os import PathLike, fspath
from typing import Any

from orbit.checks import shown, within
from orbit.formats.files import TableError, no_json, read_text
from orbit.formats.tables import NO_ROWS, UNITS, Row, Table, letters_of, parse_table
from orbit.sites import MOST_POINTS, Horizon, Site

_ANGLES = ("azimuth_deg", "elevation_deg")
_BEGINNINGS = {
    "azimuth_deg": ("az", "bearing"),
    "elevation_deg": ("el", "minel", "alt", "horizon", "mask"),
}
"""How others call our columns, but for case and units; the first that is there counts."""
_COMMENT = re.compile(r"(?m)^[ \t]*[%!].*$")


def horizon_of_cell(text: str, name: str) -> Horizon:
    """The horizon of a cell like `0 5; 90 12.5; 180 3`, `0:5 90:12.5`, or a list in JSON.

    Raises ValueError, with the `name` of the column, for anything else, and as `Horizon.of`.
    """
    try:
        if text.startswith("["):
            return Horizon.of(json.loads(text), name)
        lines = text.strip(" ;").split(";") if ";" in text else text.split()
        angles = list(_angles_deg("\n".join(lines).replace(":", " "), name))
    except (TableError, json.JSONDecodeError, RecursionError):
        raise ValueError(
            f"{name} {shown(text)} is neither a number nor a horizon like 0 5; 90 12.5; 180 3"
        ) from None
    return Horizon.of([pair for _, *pair in angles], name)


def read_horizon(path: str | PathLike[str]) -> Horizon:
    """The horizon of a file with an azimuth and an elevation (deg) in each line.

    The header may be missing, or names them in any order, among other columns. Separators, decimal
    commas, units and # comments are as of `read_windows`, but a single blank separates, too; % and
    ! also begin comments. Raises TableError (a ValueError) that starts `file:line:` for other
    lines, and for numbers as `Horizon.of`; OSError when the file cannot be read.
    """
    return parse_horizon(read_text(path), fspath(path))


def parse_horizon(text: str, source: str = "<text>") -> Horizon:
    """As `read_horizon`, for text; `source` stands for the file in messages."""
    pairs = []
    for row, azimuth_deg, elevation_deg in _angles_deg(_COMMENT.sub("", text), source):
        try:
            within(azimuth_deg, 0, 360, "azimuth_deg")
            within(elevation_deg, 0, 90, "elevation_deg", below=True)
        except ValueError as error:
            raise row.error(str(error)) from None
        pairs.append((azimuth_deg, elevation_deg))
    try:
        return Horizon.of(pairs, "the horizon")
    except ValueError as error:
        raise TableError(f"{source}:1: {error}") from None


def _angles_deg(text: str, source: str) -> Iterator[tuple[Row, float, float]]:
    """The rows of a table with their azimuths and elevations, whatever their range."""
    table = parse_table(text, source, _ANGLES, _are_columns, _ANGLES, MOST_POINTS, _ANGLES)
    called = _called(table.columns)
    for column, words in called.items():
        if not words:
            there = shown(" ".join(table.columns))
            raise table.error(f"column {column!r} is missing; add it, or rename it in {there}")
        if len(words) > 1:
            both = " and ".join(map(shown, words[:2]))
            raise table.error(f"columns {both} both say {column}; keep one of them")
    [azimuth], [elevation] = called.values()
    for row in table.rows():
        yield row, row.in_unit(azimuth, "deg")[0], row.in_unit(elevation, "deg")[0]


def _called(words: Collection[str]) -> dict[str, list[str]]:
    """The words that say each of our columns; beside a known one, a second word is the other."""
    words = [word for word in words if word]
    called = dict[str, list[str]]()
    for column, beginnings in _BEGINNINGS.items():
        said = ([word for word in words if letters_of(word).startswith(b)] for b in beginnings)
        called[column] = next(filter(None, said), [])
    azimuth, elevation = called.values()
    if len(words) == 2 and bool(azimuth) != bool(elevation):
        azimuth.extend(word for word in words if word not in elevation and not azimuth)
        elevation.extend(word for word in words if word not in azimuth and not elevation)
    return called


def _are_columns(words: Collection[str]) -> bool:
    return all(_called(words).values())


_COLUMNS = ("name", "latitude_deg", "longitude_deg", "altitude_m", "min_elevation_deg")
_NUMBERS = _COLUMNS[1:]
_NEEDED = ("latitude_deg", "longitude_deg")
# What others call our columns, but for case, separators and units; of names, the first that is
# there.
_CALLED = {
    "name": (
        *("name", "title", "site", "sitename", "station", "stationname", "groundstation"),
        *("label", "id"),
    ),
    "latitude_deg": ("latitude", "lat"),
    "longitude_deg": ("longitude", "lon", "lng", "long"),
    "altitude_m": ("altitude", "alt"),
    "min_elevation_deg": (
        *("minelevation", "minelev", "minel", "elevationmin", "elevmin", "elmin"),
        *("minimumelevation", "minelevationangle", "minimumelevationangle"),
        *("elevationmask", "elevmask", "elmask", "maskelevation", "elevationmaskangle"),
    ),
}
_SHORT = {
    **dict.fromkeys(("el", "ele", "elv"), "elev"),
    **dict.fromkeys(("hae", "msl", "asl", "amsl", "masl"), "height"),
}
_LIKELY = {
    "elev": ("min_elevation_deg", "altitude_m"),
    **dict.fromkeys(
        ("mask", "horizon", "cutoff", "minangle", "minimumangle"), ("min_elevation_deg",)
    ),
    **dict.fromkeys(("altitude", "height"), ("altitude_m",)),
    **{column.removesuffix("_deg"): (column,) for column in _NEEDED},
}
"""What a word may mean that holds one of these, if it is none of those."""
_CLOSE = 0.8
"""Similarity, by difflib, from which on a word is a misspelt one of our columns."""
_WITH_UNIT = ("height", "elevation", "elev", "ele", "hae", "msl", "asl", "amsl")
"""What others call the altitude where a unit of length says that it is none else."""
_SIDES = {"latitude_deg": "NS", "longitude_deg": "EW"}
"""Letters of the positive and the negative side."""
_WITH_SIDE = re.compile(r"([NSEW]?)\s*([\d.,]+)\s*°?\s*([NSEW]?)", re.IGNORECASE)
_OF_SIDES = re.compile(r"[°'\"]|\d\s*[NSEW]$|^[NSEW]\s*\d", re.IGNORECASE)
"""In cells of degrees and minutes, and of a letter that is none of the column's."""
_LEAST_HEIGHT_M = 10.0
"""Heights without a unit that are all below it, and not whole, may be in kilometres."""
_UNIT_BEHIND = re.compile(r"[+-]?[\d.,]+\s*([^\d\s.,]+)")
"""A cell with a unit."""
_ROUNDED_DEG = 0.1
"""By which properties may differ from coordinates: they are for people."""
MOST_SITES = 100_000
"""Places of a file: their windows would not fit into memory."""


def read_sites(
    path: str | PathLike[str], on_unused: Callable[[str], None] | None = None
) -> list[Site]:
    """Sites of a table in UTF-8, in its order, or the points of GeoJSON (RFC 7946).

    The header names the columns: latitude_deg, longitude_deg, and if wanted name (else "0", "1",
    ... by row), altitude_m (else 0) and min_elevation_deg (else none; so are empty cells of these
    two). Other spellings and units are read where they are clear, as Lat, altitude_km and
    minElevation; a column that may mean one of these is refused, and `on_unused` is told once of
    those that mean something else. Separators, blank lines and comments are as of `read_windows`.
    In GeoJSON, a FeatureCollection, a list of Features or one, the columns are properties of the
    points, the name may be title or id, and the altitude the third coordinate; null counts as
    absent. The content decides, not the file's name.

    Raises TableError (a ValueError) that starts `file:line:` for such a column, or a missing one, a
    cell that is not a number or out of the ranges of `Site`, a name that comes twice, or no site;
    OSError when the file cannot be read. Of GeoJSON errors name the feature by its number, from 1.
    """
    text = read_text(path)
    if text.lstrip().startswith(("{", "[")):
        table = _points(text, fspath(path))
    else:
        table = _table(text, fspath(path), on_unused or (lambda _: None))
    word = next(filter(_has_no_unit, table.columns), None)
    sites: dict[str, Site] = {}
    for count, row in enumerate(table.rows()):
        bare, horizon = _without_horizon(row)
        site = _site(bare, str(count))
        if horizon is not None:
            site = replace(site, min_elevation_deg=horizon)  # type: ignore[arg-type]
        if site.name in sites:
            raise row.error(
                f"site {shown(site.name)} is there already; give each site its own name"
            )
        sites[site.name] = site
    if not sites:
        raise table.error(NO_ROWS)
    heights_m = [abs(site.altitude_m) for site in sites.values()]
    if word and max(heights_m) < _LEAST_HEIGHT_M and any(height % 1 for height in heights_m):
        raise table.error(
            f"{shown(word)} names no unit, and its heights are all below {_LEAST_HEIGHT_M:g}, like "
            f"{max(heights_m):g}; call it altitude_km if they are in kilometres, else altitude_m"
        )
    return list(sites.values())


def _without_horizon(row: Row) -> tuple[Row, Horizon | None]:
    """A row whose mask is a number or empty, and the horizon that it was if it was one.

    A cell like `0 5; 90 12.5; 180 3`, or a list of pairs in JSON.
    """
    text = row.cells.get("min_elevation_deg", "")
    if len(text.split()) < 2 and not {";", ":", "["} & set(text):
        return row, None
    try:
        horizon = horizon_of_cell(text, "min_elevation_deg")
    except ValueError as error:
        raise row.error(str(error)) from None
    return replace(row, cells=row.cells | {"min_elevation_deg": ""}), horizon


def _table(text: str, path: str, on_unused: Callable[[str], None]) -> Table:
    """A table of places whose rows have our columns."""

    def is_header(words: Collection[str]) -> bool:
        return {meant[0] for meant in map(_meaning, words) if meant} >= set(_NEEDED)

    table = parse_table(text, path, _COLUMNS, is_header, _COLUMNS, most_rows=MOST_SITES)
    try:
        said = _columns_of(table.columns, "column")
    except ValueError as error:
        raise table.error(str(error)) from None
    for column, words in said.items():
        if column != "name" and len(words) > 1:
            both = " and ".join(map(shown, words[:2]))
            raise table.error(f"columns {both} both say {column}; keep one of them")
    for column in _NEEDED:
        if column not in said:
            there = shown(" ".join(table.columns))
            raise table.error(f"column {column!r} is missing; add it, or rename it in {there}")
    if others := [word for word in table.columns if _meaning(word) is None]:
        columns = ", ".join(map(shown, others))
        on_unused(str(table.error(f"columns that say nothing of a place are left out: {columns}")))
    rows = (
        replace(row, cells={column: _said(row, column, words[0]) for column, words in said.items()})
        for row in table.rows()
    )
    return replace(table, entries=rows)


def _points(text: str, path: str) -> Table:
    """The points of a FeatureCollection, or of one Feature, as rows of a table."""
    source = f"{path}:feature"
    try:
        whole = json.loads(text)
        if isinstance(whole, list):
            features = whole
        else:
            features = [whole] if whole.get("type") == "Feature" else whole["features"]
        geometries = [feature.get("geometry") or {} for feature in features]
        points = [
            geometry.get("coordinates") if geometry.get("type", "Point") == "Point" else None
            for geometry in geometries
        ]
        given = [_said_of(feature) for feature in features]
    except json.JSONDecodeError as error:
        raise TableError(f"{path}:{error.lineno}: {no_json(error, text)}") from None
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        problem = "no GeoJSON with a list of features that are points"
        raise TableError(f"{path}:1: {problem}; give a FeatureCollection, or a CSV file") from None
    if features and not any(geometries) and isinstance(whole, list):
        problem = "a JSON list of other things than GeoJSON has"
        raise TableError(
            f"{path}:1: {problem}; give a CSV file with the columns {', '.join(_COLUMNS)}, or "
            "GeoJSON's features"
        )
    if not 0 < len(features) <= MOST_SITES:
        raise TableError(f"{path}:1: has {len(features)} features; give 1 to {MOST_SITES}")
    numbered = enumerate(zip(points, given, strict=True), 1)
    bare = dict.fromkeys(word for words in given for word in words if _has_no_unit(word))
    return Table(source, 1, (*_COLUMNS, *bare), (_point(source, *point) for point in numbered))


def _said_of(feature: dict[str, Any]) -> dict[str, Any]:
    """What a feature says beside its geometry; words inside of others follow these."""
    beside = {
        word: value
        for word, value in feature.items()
        if word not in ("type", "geometry", "bbox", "properties")
    }
    said: dict[str, Any] = {}
    for word, value in {**beside, **(feature.get("properties") or {})}.items():
        inner = value if isinstance(value, dict) else {}
        said |= {f"{word} {part}": text for part, text in inner.items()} or {word: value}
    return said


def _point(source: str, number: int, point: tuple[Any, dict[str, Any]]) -> Row:
    """The row of a feature: its coordinates, and what its properties say beside them."""
    place, properties = point
    words = {word: str(value) for word, value in properties.items() if value is not None}
    row = Row(source, number, words)
    if not isinstance(place, list) or len(place) not in (2, 3) or None in place[:2]:
        raise row.error("is no point; leave lines and areas out")
    at = dict(zip(("longitude_deg", "latitude_deg", "altitude_m"), map(str, place), strict=False))
    if place[2:] == [None]:
        del at["altitude_m"]
    # Of words that are not known, what has no digit is no altitude and no mask.
    able = [
        word
        for word, text in words.items()
        if _meaning(word) or re.search(r"\d", text) or _likely(word, ["name"])
    ]
    try:
        said = _columns_of(able, "property", at)
    except ValueError as error:
        raise row.error(str(error)) from None
    cells = {"name": str(number - 1), **at}
    for column in said:
        if column in _NEEDED:  # the coordinates say it
            for word in said[column]:
                _check_agrees(row, column, word, at)
            continue
        for word in said[column][:1] if column == "name" else said[column]:
            text = _said(row, column, word)
            if column != "name" and not _same(text, cells.setdefault(column, text)):
                other = "is not the third coordinate," if column in at else "is another property's"
                raise row.error(f"{column} {text} {other} {cells[column]}; keep one of them")
            cells[column] = text
    return replace(row, cells=cells)


def _check_agrees(row: Row, column: str, word: str, at: Mapping[str, str]) -> None:
    """Refuse a property that says another angle than the coordinates; it may be rounded."""
    try:
        angles_deg = float(_said(row, column, word)), float(at[column])
    except ValueError:
        return
    if abs((angles_deg[0] - angles_deg[1] + 180) % 360 - 180) > _ROUNDED_DEG:
        text, coordinate = row.cells[word], at[column]
        raise row.error(
            f"{shown(word)} {text} is not that of the coordinates, {coordinate} (GeoJSON has the "
            "longitude first); keep one of them"
        )


def _same(text: str, other: str) -> bool:
    """Whether two texts are one number, or one text."""
    try:
        return isclose(float(text), float(other))
    except ValueError:
        return text == other


@lru_cache(maxsize=1024)
def _meaning(word: str) -> tuple[str, float] | None:
    """Our column that a word says, whatever its case, separators and unit, and the factor to ours.

    None for another word.
    """
    letters = letters_of(word)
    for column, called in _CALLED.items():
        for name in called:
            if letters == name:
                return column, 1.0
            unit = letters.removeprefix(name)
            if column == "altitude_m" and unit in UNITS["km"]:
                return column, 1000.0 * UNITS["km"][unit]
            if column.endswith("_deg") and unit in UNITS["deg"]:
                return column, UNITS["deg"][unit]
    for name in _WITH_UNIT:
        if letters.startswith(name) and (unit := letters.removeprefix(name)) in UNITS["km"]:
            return "altitude_m", 1000.0 * UNITS["km"][unit]
    return None


def _has_no_unit(word: str) -> bool:
    """Whether a word says the altitude, and does not say in which unit."""
    return letters_of(word) in _CALLED["altitude_m"]


def _columns_of(
    words: Iterable[str], kind: str, given: Collection[str] = ()
) -> dict[str, list[str]]:
    """The words that say each of our columns, our own first.

    Raises ValueError for one that may mean a column that no word says, nor is `given` otherwise.
    """
    said: dict[str, list[str]] = {}
    order = {name: place for place, name in enumerate(_CALLED["name"])}
    others = []
    for word in sorted(
        words, key=lambda word: (word not in _COLUMNS, order.get(letters_of(word), 0))
    ):
        if (meant := _meaning(word)) is None:
            others.append(word)
        else:
            said.setdefault(meant[0], []).append(word)
    missing = [column for column in _COLUMNS if column not in said and column not in given]
    for word in others:
        if likely := _likely(word, missing):
            raise ValueError(
                f"{kind} {shown(word)} is unknown; did you mean {' or '.join(map(shown, likely))}? "
                "Rename it, or leave it out"
            )
    return said


def _likely(word: str, missing: Sequence[str]) -> list[str]:
    """Which of the missing columns a word may mean that is none."""
    letters = letters_of(word)
    letters = _SHORT.get(letters, letters)
    meant = (columns for part, columns in _LIKELY.items() if part in letters)
    likely = dict.fromkeys(column for columns in meant for column in columns if column in missing)
    return [*likely][:2] or get_close_matches(word.lower(), missing, n=1, cutoff=_CLOSE)


def _said(row: Row, column: str, word: str) -> str:
    """What a row says of our column, in our unit, where it is called `word`."""
    if column == "name":
        return row.cells[word]
    _, factor = _meaning(word) or ("", 1.0)
    unit, ours = ("km", 1000.0) if column == "altitude_m" else ("deg", 1.0)
    behind = _UNIT_BEHIND.fullmatch(row.cells[word])
    if behind and behind[1].lower() in UNITS[unit]:
        return repr(row.in_unit(word, unit)[0] * ours)
    if row.absent(word):
        return row.with_point(word)
    if column in _SIDES and (side := _WITH_SIDE.fullmatch(row.cells[word])):
        first, angle, last = side.groups()
        letter = f"{first}{last}".upper()
        if len(letter) == 1 and letter in _SIDES[column]:
            angle_deg = row.with_cell(word, angle).number(word) * factor
            return repr(-angle_deg if letter == _SIDES[column][1] else angle_deg)
    if column in _SIDES and _OF_SIDES.search(row.cells[word]):
        north, south = ("north", "south") if column == "latitude_deg" else ("east", "west")
        raise row.error(
            f"{column} {shown(row.cells[word])} is not a number; give decimal degrees, {north} "
            f"positive and {south} negative, such as -31.4"
        )
    if factor == 1.0:
        return row.with_point(word)
    return repr(row.number(word) * factor)


def _site(row: Row, number: str) -> Site:
    name = row.name("name") if "name" in row.cells else number
    given: dict[str, Any] = {
        column: row.number(column)
        for column in _NUMBERS
        if column in row.cells and (column in _NEEDED or not row.absent(column))
    }
    try:
        return Site(name, **given)
    except ValueError as error:
        raise row.error(str(error)) from None
