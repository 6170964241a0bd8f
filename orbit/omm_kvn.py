"""Elements as KVN, keyword = value notation: OMM (CCSDS 502.0-B, section 7), and of Gpredict."""

import re
from collections.abc import Iterator
from typing import Any

from orbit.element_record import AGAIN, Record
from orbit.files import LONGEST_ROW, lines_of
from orbit.satellite import ElementError

_VERSION = re.compile(r"CCSDS_([A-Z]{3})_VERS$")
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
SECTION = re.compile(r"\s*\[\s*[A-Za-z]\w*\s*\]\s*")
"""A line that begins the satellite of a file of Gpredict: [Satellite]."""
_COMMENT = re.compile(r"\s*COMMENT(\s|$)")
# A number and its unit, as 51.5908 [deg].
_IN_UNIT = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*\[([^\[\]]*)\]", re.ASCII)
_MOST_FIELDS = 1000


def is_kvn(first: str) -> bool:
    """Whether a text whose first line that says something is this one may be KVN."""
    return bool(_COMMENT.match(first) or _LINE.fullmatch(first[:LONGEST_ROW]))


def kvn_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Messages of a text, one after the other; those that are broken as their errors.

    A message begins with its version, or where the file leaves versions out, where the keyword
    comes again that began the first one. COMMENT lines and blank ones are skipped, fields may be in
    any order. A comment sign # at the beginning of a line is skipped too. Files of satellites of
    Gpredict have this form, with [Satellite] above each.
    """
    message: _Message | None = None
    delimiter = ""
    for number, raw in enumerate(lines_of(text), start=1):
        if not raw.strip() or raw.startswith("#") or _COMMENT.match(raw):
            continue
        if len(raw) <= LONGEST_ROW and SECTION.fullmatch(raw):
            if message is not None:
                yield message.record()
            message = None
            continue
        found = _LINE.fullmatch(raw) if len(raw) <= LONGEST_ROW else None
        key = found[1].upper() if found else ""
        delimiter = delimiter or key
        again = message is not None and key in message.fields
        if message is None or (again and (key == delimiter or _VERSION.match(key))):
            if message is not None:
                yield message.record()
            message = _Message(f"{source}:{number}")
        message.add(f"{source}:{number}", key, found[2] if found else raw)
    if message is not None:
        yield message.record()


class _Message:
    """The fields of a message, and the first thing that is wrong with it."""

    def __init__(self, where: str) -> None:
        self.fields: dict[str, Any] = {}
        self._where = where
        self._units: dict[str, str] = {}
        self._lines: dict[str, str] = {}
        self._wrong: tuple[str, str, str] | None = None

    def add(self, where: str, key: str, value: str) -> None:
        """One line of it; without a keyword it is none."""
        kind = _VERSION.match(key)
        if not key:
            what = f"{value.strip()[:40]!r} is neither KEYWORD = VALUE nor a COMMENT"
            self._refuse(where, what, AGAIN)
        elif kind and kind[1] != "OMM":
            what = f"an {kind[1]} (CCSDS), which has no mean elements"
            self._refuse(where, what, "give an OMM, Orbit Mean-Elements Message")
        elif key in self.fields:
            self._refuse(where, f"{key} is given twice in a message", "keep one of them")
        elif len(self.fields) >= _MOST_FIELDS:
            self._refuse(where, f"a message of more than {_MOST_FIELDS} fields", AGAIN)
        else:
            in_unit = _IN_UNIT.fullmatch(value)
            if in_unit and key != "OBJECT_NAME":
                value = in_unit[1]
                self._units[key] = in_unit[2].strip()
            self.fields[key] = value or None
            self._lines[key] = where

    def record(self) -> Record | ElementError:
        """The whole message, or what is wrong with it."""
        if self._wrong is not None:
            where, what, remedy = self._wrong
            name = str(self.fields.get("OBJECT_NAME") or "")
            return ElementError.at(where, name if name.isprintable() else "", what, remedy)
        return Record(self._where, self.fields, self._units, self._lines)

    def _refuse(self, where: str, what: str, remedy: str) -> None:
        self._wrong = self._wrong or (where, what, remedy)
