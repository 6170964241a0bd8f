"""Horizons read from texts and files."""

import re
from math import isfinite
from os import PathLike, fspath

from orbit.checks import shown
from orbit.formats.files import TableError, read_text
from orbit.masks import REMEDY, Horizon


def horizon_of_text(text: str, name: str) -> list[tuple[float, float]]:
    """Pairs of a cell like `0 5; 90 12.5; 180 3`, `0:5 90:12.5`, or JSON; ValueError otherwise."""
    if text.startswith("["):
        text = re.sub(r"\]\s*,\s*\[", ";", text.strip("[] ")).replace(",", " ")
    pairs = re.split(r"\s*;\s*", text.strip(" ;")) if ";" in text else text.split()
    found = []
    for pair in pairs:
        numbers = re.split(r"\s*[:\s]\s*", pair.strip())
        try:
            azimuth_deg, elevation_deg = map(float, numbers)
        except ValueError:
            raise ValueError(
                f"{name} {shown(text)} is neither a number nor a horizon like 0 5; 90 12.5; 180 3"
            ) from None
        found.append((azimuth_deg, elevation_deg))
    return found


def read_horizon(path: str | PathLike[str]) -> Horizon:
    """The horizon of a file with an azimuth and an elevation (deg) in each line.

    Blanks, commas, semicolons or tabs are between them; lines that begin with # or are blank, and
    one header line, are skipped. Raises TableError (a ValueError) that starts `file:line:` for
    other lines, and for numbers as `Horizon.of`; OSError when the file cannot be read.
    """
    return parse_horizon(read_text(path), fspath(path))


def parse_horizon(text: str, source: str = "<text>") -> Horizon:
    """As `read_horizon`, for text; `source` stands for the file in messages."""
    pairs: list[tuple[float, float]] = []
    header = True
    number = 1
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", line.strip()) if word]
        if not words or words[0][0] in "#%!":
            continue
        try:
            azimuth_deg, elevation_deg = map(float, words)
        except ValueError:
            if header and not any(map(_is_number, words)):
                header = False
                continue
            raise TableError(
                f"{source}:{number}: {shown(line.strip())} is no azimuth and elevation; {REMEDY}"
            ) from None
        if not (isfinite(azimuth_deg) and 0 <= azimuth_deg <= 360 and 0 <= elevation_deg < 90):
            raise TableError(
                f"{source}:{number}: azimuth {azimuth_deg:g} or elevation {elevation_deg:g} is out "
                "of range; give 0 to 360 (from north through east), and 0 up to below 90"
            )
        header = False
        pairs.append((azimuth_deg, elevation_deg))
    try:
        return Horizon.of(pairs, "the horizon")
    except ValueError as error:
        raise TableError(f"{source}:{number}: {error}") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
