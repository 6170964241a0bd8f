"""Orbit Mean-Elements Messages taken apart: the fields of each entry of JSON, CSV and XML."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any
from xml.etree import ElementTree

from orbit.elements import ElementError

_AGAIN = "get the file again from its source"


@dataclass(frozen=True)
class Record:
    """The fields of one entry, where it stands, and the units it states itself (XML only)."""

    where: str
    fields: dict[str, Any]
    units: dict[str, str]


def json_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Entries of a list of objects, or of one object."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        yield ElementError(
            f"{source}:{error.lineno}: broken JSON at {place}: {error.msg}; {_AGAIN}"
        )
        return
    except (ValueError, RecursionError) as error:
        yield ElementError(f"{source}:1: JSON that cannot be read: {error}; {_AGAIN}")
        return
    for number, entry in enumerate(whole if isinstance(whole, list) else [whole], start=1):
        where = f"{source} entry {number}"
        if isinstance(entry, dict):
            yield Record(where, entry, {})
        else:
            kind = type(entry).__name__
            yield ElementError.at(where, "", f"is {kind} instead of an object", _AGAIN)


def csv_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Rows below a header line of field names; blank rows and comments above it are skipped."""
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for row in rows:
            where = f"{source}:{rows.line_num}"
            if not any(cell.strip() for cell in row) or (not header and row[0].startswith("#")):
                continue
            if not header:
                header = [cell.strip() for cell in row]
                if len(set(header)) < len(header):
                    yield ElementError(f"{where}: a column is given twice; keep one of them")
                    return
            elif len(row) != len(header):
                what = f"{len(row)} columns where the header has {len(header)}"
                yield ElementError.at(where, "", what, "give each field its column")
            else:
                yield Record(where, dict(zip(header, row, strict=True)), {})
    except csv.Error as error:
        yield ElementError(f"{source}:{rows.line_num}: broken CSV: {error}; {_AGAIN}")


def xml_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Segments of the <omm> elements of an NDM (CCSDS 505.0-B), or of one <omm>.

    Documents that declare types or entities are refused unread, since these can grow without end.
    """
    if any(word in text for word in ("<!DOCTYPE", "<!ENTITY")):
        yield ElementError(f"{source}:1: XML with a DOCTYPE or ENTITY; remove the declaration")
        return
    try:
        root = ElementTree.fromstring(text.lstrip())
    except ElementTree.ParseError as error:
        yield ElementError(f"{source}:{error.position[0]}: broken XML: {error}; {_AGAIN}")
        return
    if _local(root) not in ("ndm", "omm"):
        what = f"XML of <{_local(root)}> instead of <ndm> or <omm>"
        yield ElementError(f"{source}:1: {what}; give Orbit Mean-Elements Messages")
        return
    for number, segment in enumerate(_segments(root), start=1):
        leaves = [leaf for leaf in segment.iter() if not len(leaf)]
        yield Record(
            f"{source} entry {number}",
            {_local(leaf): leaf.text for leaf in leaves},
            {_local(leaf): leaf.attrib["units"] for leaf in leaves if "units" in leaf.attrib},
        )


def _segments(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for message in _outermost(root, "omm"):
        yield from list(_outermost(message, "segment")) or [message]


def _outermost(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Elements of that name in order; what lies inside of one is not looked at again."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if _local(element) == name:
            yield element
        else:
            waiting += reversed(element)


def _local(element: ElementTree.Element) -> str:
    """The element's name without its namespace; nothing for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
