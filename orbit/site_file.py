"""Sites from a CSV file: clusters, ground stations, or the devices of a cluster."""

from os import PathLike, fspath

from orbit.csv_rows import Row, Table, near, parse_table, read_text
from orbit.sites import Site

_COLUMNS = ("name", "latitude_deg", "longitude_deg", "altitude_m", "min_elevation_deg")
_NEEDED = ("latitude_deg", "longitude_deg")


def read_sites(path: str | PathLike[str]) -> list[Site]:
    """Sites of a CSV file in UTF-8, in its order.

    The header names the columns: latitude_deg, longitude_deg, and if wanted name (else "0", "1",
    ... by row), altitude_m (else 0) and min_elevation_deg (else none; so are empty cells of these
    two). Blank lines and lines that start with # are skipped. Raises TableError (a ValueError) that
    starts `file:line:` for an unknown or missing column, a number that is none or out of the ranges
    of `Site`, a name that comes twice, or no site; OSError when the file cannot be read.
    """
    table = parse_table(read_text(path), fspath(path))
    _check_columns(table)
    sites: dict[str, Site] = {}
    for count, row in enumerate(table.rows):
        site = _site(row, str(count))
        if site.name in sites:
            raise row.error(f"site {site.name!r} is there already; give each site its own name")
        sites[site.name] = site
    return list(sites.values())


def _check_columns(table: Table) -> None:
    for column in table.columns:
        if column not in _COLUMNS:
            raise table.error(f"column {column!r} is unknown; {near(column, _COLUMNS)}")
    for column in _NEEDED:
        if column not in table.columns:
            raise table.error(f"column {column!r} is missing; add it")


def _site(row: Row, number: str) -> Site:
    name = row.name("name") if "name" in row.cells else number
    given = {c: row.number(c) for c in _COLUMNS[1:] if row.cells.get(c) or c in _NEEDED}
    try:
        return Site(name, **given)
    except ValueError as error:
        raise row.error(str(error)) from None
