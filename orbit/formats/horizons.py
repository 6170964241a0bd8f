"""Horizons read from texts and files."""

import json
import re
from collections.abc import Collection, Iterator
from os import PathLike, fspath

from orbit.checks import shown, within
from orbit.formats.files import TableError, read_text
from orbit.formats.tables import Row, letters_of, parse_table
from orbit.sites import MOST_POINTS, Horizon

_COLUMNS = ("azimuth_deg", "elevation_deg")
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
    table = parse_table(text, source, _COLUMNS, _are_columns, _COLUMNS, MOST_POINTS, _COLUMNS)
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
