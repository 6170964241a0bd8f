"""Element sets from files and text; what format they are in is seen from the content."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from os import PathLike, fspath
from typing import NamedTuple, get_args

from orbit.checks import shown
from orbit.formats.files import LONGEST_ROW, MOST_LINES, decoded, lines_of, read_bytes
from orbit.formats.omm import USED, are_fields, csv_records, satellite_of_omm, xml_records
from orbit.formats.records import SECTION, Record, is_kvn, json_records, kvn_records, two_lines
from orbit.formats.tables import header_of
from orbit.formats.tle import Checksum, has_lines, satellite_of_lines, scan_tle
from orbit.satellite import ElementError, Satellite
from orbit.utc import utc

_FORMS = "two-line elements, or OMM as JSON, CSV, XML or KVN"
# All catalogued objects are some 30,000 entries, and as indented XML 45 lines each.
_MOST_ENTRIES = 100_000
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_RECORDS = {
    "json": json_records,
    "csv": csv_records,
    "xml": xml_records,
    "kvn": kvn_records,
}
# How a web page begins, whole or a part of one; and its title.
_PAGE = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|(html|head|title|body|meta|h[1-6]|p|div|pre|center|script)\b)",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(r"<(title|h[1-6])\b[^>]*>(.{0,200}?)</", re.IGNORECASE | re.DOTALL)
_PAGE_BEGIN = 4096


def read_satellites(path: str | PathLike[str], checksum: Checksum = "verify") -> list[Satellite]:
    """Satellites of a UTF-8 file: two-line elements (with or without names), or OMM.

    OMM (CCSDS 502.0-B, Orbit Mean-Elements Message) may be JSON, CSV, XML or KVN, as Space-Track
    and CelesTrak give it; JSON and CSV may have two-line elements in fields instead, as SatNOGS
    has. The content decides, not the file's name. `checksum="ignore"` skips the checksums of
    two-line elements, and takes lines that have none. Raises ElementError at the first bad entry or
    when there is none, OSError when the file cannot be read.
    """
    return parse_satellites(_text(path), fspath(path), checksum)


def _text(path: str | PathLike[str]) -> str:
    """Text of a regular file in UTF-8 of at most 100 MB."""
    return decoded(read_bytes(path, ElementError), path, ElementError, f"give {_FORMS}, as UTF-8")


def parse_satellites(
    text: str, source: str = "<text>", checksum: Checksum = "verify"
) -> list[Satellite]:
    """As `read_satellites`, for text; `source` stands for the file in messages."""
    satellites, bad = parse_elements(text, source, checksum)
    if bad:
        raise ElementError(bad[0])
    return satellites


class ScannedElements(NamedTuple):
    """The satellites of a file or text, and a line on what is wrong with each other entry."""

    satellites: list[Satellite]
    bad: list[str]


def read_elements(path: str | PathLike[str], checksum: Checksum = "verify") -> ScannedElements:
    """As `read_satellites`, for callers that leave bad entries out, or say of all what is wrong.

    Raises ElementError where there is no entry at all.
    """
    return parse_elements(_text(path), fspath(path), checksum)


def parse_elements(
    text: str, source: str = "<text>", checksum: Checksum = "verify"
) -> ScannedElements:
    """As `read_elements`, for text; `source` stands for the file in messages."""
    found = ScannedElements([], [])
    for entry in scan_satellites(text, source, checksum):
        if isinstance(entry, ElementError):
            found.bad.append(str(entry))
        else:
            found.satellites.append(entry)
    if not (found.satellites or found.bad):
        raise ElementError(f"{source}:1: no elements found; give {_FORMS}")
    return found


def check_checksum(checksum: str) -> None:
    """Raise ValueError for anything else than what can be done about checksums."""
    if checksum not in get_args(Checksum):
        raise ValueError(f'checksum {checksum!r} is unknown; write "verify" or "ignore"')


def scan_satellites(
    text: str, source: str = "<text>", checksum: Checksum = "verify"
) -> Iterator[Satellite | ElementError]:
    """Yield each entry as a Satellite, or as the ElementError that says what is wrong with it.

    For callers that leave bad entries out. Where the text cannot be split any further, and after
    100,000 entries, the ElementError that says so is the last one.
    Raises ValueError for an unknown `checksum` and for anything but a str.
    """
    if not isinstance(text, str):
        raise ValueError(
            f"a {type(text).__name__} is no text; give the text of {_FORMS} as str, or read a file "
            "by orbit.read_satellites"
        )
    check_checksum(checksum)
    text = text.removeprefix("\ufeff").replace("\xa0", " ")  # as copied from a web page
    if sum(text.count(end) for end in _LINE_ENDS) > MOST_LINES:
        what = f"more than {MOST_LINES} lines; give a part of it"
        return iter([ElementError(f"{source}:1: {what}")])
    lines = (line for line in lines_of(text) if line.strip() and not line.startswith("#"))
    first = next(lines, "")
    form = _form(first, lines, text)
    if form == "tle":
        return _bounded(scan_tle(text, source, checksum), source)
    if form in _RECORDS:
        return _bounded(_satellites(_RECORDS[form](text, source), checksum), source)
    if form == "page":
        what = f"a web page{_titled(text)} instead of elements; give {_FORMS}"
    else:
        what = f"no element sets, it starts with {first[:40]!r}; give {_FORMS}"
    return iter([ElementError(f"{source}:1: {what}")] if first else [])


def one_each(satellites: Sequence[Satellite], start: datetime | None = None) -> list[Satellite]:
    """Each satellite once, by its catalogue number; in the order of its first.

    It is that of its latest element set that is not after `start` (aware), of its first one if all
    are; without a start, of its latest. Those without a number (0) all stay. Raises ValueError for
    a start without a zone.
    """
    limit = None if start is None else utc(start, "start")
    known: dict[object, dict[datetime, Satellite]] = {}
    for place, satellite in enumerate(satellites):
        # Of two sets of one epoch the one that comes later corrects the other.
        key = satellite.norad_id or ("without a number", place)
        known.setdefault(key, {})[satellite.epoch] = satellite
    found = []
    for by_epoch in known.values():
        before = [epoch for epoch in by_epoch if limit is None or epoch <= limit]
        found.append(by_epoch[max(before) if before else min(by_epoch)])
    return found


def _satellites(
    records: Iterable[Record | ElementError], checksum: Checksum
) -> Iterator[Satellite | ElementError]:
    """Each record as a satellite, by the two lines or the mean elements in its fields."""
    for record in records:
        if isinstance(record, ElementError):
            yield record
        elif lines := two_lines(record.fields):
            yield satellite_of_lines(*lines, record.where, checksum)
        else:
            yield satellite_of_omm(record)


def _titled(text: str) -> str:
    """What a web page says it is, in brackets."""
    found = _TITLE.search(text[:_PAGE_BEGIN])
    return f" ({shown(found[2].strip())})" if found and found[2].strip() else ""


def _bounded(
    entries: Iterator[Satellite | ElementError], source: str
) -> Iterator[Satellite | ElementError]:
    yield from islice(entries, _MOST_ENTRIES)
    if next(entries, None) is not None:
        yield ElementError(f"{source}: more than {_MOST_ENTRIES} entries; give a part of them")


def _form(first: str, others: Iterator[str], text: str) -> str:
    """The format by the lines: tle, json, xml, page, kvn, csv or unknown.

    The name of a satellite may begin as any other format does: a line 1 below it tells.
    """
    following = list(islice(others, 1))
    first = first[:LONGEST_ROW].lstrip()
    if has_lines(following) and not first.startswith("<?"):
        return "tle"
    if SECTION.fullmatch(first) and is_kvn("".join(following)):
        return "kvn"
    if first.startswith(("{", "[")):
        return "json"
    if first.startswith("<"):
        return "page" if _PAGE.match(text[:_PAGE_BEGIN]) else "xml"
    if has_lines(chain([first], others)):
        return "tle"
    if is_kvn(first):
        return "kvn"
    return "csv" if header_of(first, USED, are_fields) else "unknown"
