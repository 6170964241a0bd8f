"""Entries of elements as the fields that a file gives: JSON, and KVN (keyword = value)."""

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orbit.checks import shown
from orbit.formats.files import LONGEST_ROW, lines_of, no_json
from orbit.satellite import ElementError

AGAIN = "get the file again from its source"
"""The remedy for what is broken."""


@dataclass(frozen=True)
class Record:
    """The fields of one entry, where it stands, and the units it states itself (XML and KVN).

    `lines` are those of the fields in the file, where each stands in a line of its own.
    """

    where: str
    fields: dict[str, Any]
    units: dict[str, str]
    lines: dict[str, str] = field(default_factory=dict)


_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
_FIRST = ("tle1", "tleline1", "line1")
_SECOND = ("tle2", "tleline2", "line2")
_NAME = ("tle0", "tleline0", "line0", "objectname", "satname", "satellitename", "header", "name")
_BOTH = ("tle", "tlelines", "lines")
# The fields that only mean elements have.
_MEAN = frozenset({"MEAN_MOTION", "SEMI_MAJOR_AXIS", "ECCENTRICITY", "INCLINATION"})


def two_lines(fields: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Name, line 1 and line 2 of an entry that gives these in place of mean elements, else None.

    The fields may be called tle0, tle1 and tle2 (SatNOGS), TLE_LINE0 to TLE_LINE2 (Space-Track),
    line1 and line2, or `tle` for both.
    """
    if any(fields.get(key) is not None for key in _MEAN):
        return None
    said = {_NOT_IN_NAMES.sub("", key.lower()): value for key, value in fields.items()}
    name = _text_of(said, _NAME).removeprefix("0 ")
    lines = [_text_of(said, _FIRST), _text_of(said, _SECOND)]
    if said.keys().isdisjoint(_FIRST + _SECOND):
        both: Any = next((said[key] for key in _BOTH if isinstance(said.get(key), str | list)), [])
        every = both.splitlines() if isinstance(both, str) else [str(line) for line in both]
        lines = [line for line in every if line.strip()]
        if len(lines) == 3:
            name = lines.pop(0).removeprefix("0 ")
    return (name, lines[0], lines[1]) if len(lines) == 2 else None


def is_entry(fields: Mapping[str, Any]) -> bool:
    """Whether fields are those of a satellite's elements, be they right or wrong."""
    return any(fields.get(key) is not None for key in _MEAN) or two_lines(fields) is not None


def _text_of(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(fields[name]) for name in names if fields.get(name)), "")


_DECODE = json.JSONDecoder().raw_decode
_BLANKS = re.compile(r"[ \t\n\r]*")
_LIST_OF_ENTRIES = re.compile(r"\[[ \t\n\r]*[{\[]")
_DEEPEST = 8
_MOST_FIELDS = 1000
# What a site says in place of elements.
_SAID = ("error", "errors", "message", "detail", "reason", "msg")


def json_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Entries of a list of objects, or of one object; broken JSON is the last entry.

    The list may be the value of an object, as in `{"results": [...]}` or `{"member": [...]}`, and
    so may each entry, as in `{"25544": {...}}`. Entries are decoded one by one, so that brackets
    without end cost no memory.
    """
    return _Reader(text, source).records()


class _Reader:
    """Reads a text from `_at` on, and counts its entries."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._at = 0
        self._number = 0

    def records(self) -> Iterator[Record | ElementError]:
        """All entries; what breaks the text off is the last one."""
        try:
            self._skip()
            if self._text.startswith("[", self._at):
                yield from self._list()
            else:
                left = yield from self._object(1)
                if not self._number and not any(value == [] for value in left.values()):
                    yield self._entry(left)
            self._skip()
            if self._at < len(self._text):
                raise json.JSONDecodeError("Extra data", self._text, self._at)
        except (ValueError, RecursionError) as error:
            line = self._text.count("\n", 0, getattr(error, "pos", self._at)) + 1
            yield ElementError(f"{self._source}:{line}: {no_json(error, self._text)}")

    def _list(self) -> Iterator[Record | ElementError]:
        """Every item is an entry."""
        for _ in self._items("[", "]"):
            yield self._entry(self._value(f"entry {self._number + 1}"))

    def _object(self, depth: int) -> Generator[Record | ElementError, None, dict[str, Any]]:
        """Entries in an object; returns what is left of it, which may be an entry itself."""
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} objects inside of one another")
        fields: dict[str, Any] = {}
        for _ in self._items("{", "}"):
            if not self._text.startswith('"', self._at):
                what = "Expecting property name enclosed in double quotes"
                raise json.JSONDecodeError(what, self._text, self._at)
            key = self._value("a name")
            self._take(":")
            if _LIST_OF_ENTRIES.match(self._text, self._at):
                yield from self._list()
            elif self._text.startswith("{", self._at):
                if inner := (yield from self._object(depth + 1)):
                    fields[key] = inner
            else:
                fields[key] = self._value(shown(key))
            if len(fields) > _MOST_FIELDS:
                raise ValueError(f"an object of more than {_MOST_FIELDS} fields")
        if depth > 1 and is_entry(fields):
            yield self._entry(fields)
            return {}
        return fields

    def _entry(self, value: Any) -> Record | ElementError:
        self._number += 1
        where = f"{self._source} entry {self._number}"
        if isinstance(value, list) and {str} == set(map(type, value)):  # of lines
            value = {"tle": value}
        if not isinstance(value, dict):
            what = f"is {type(value).__name__} instead of an object"
            return ElementError.at(where, "", what, AGAIN)
        fields = {**_inner(value), **value}
        said = next((fields[key] for key in _SAID if fields.get(key)), None)
        if said is not None and not is_entry(fields):
            what = f"an answer in place of elements, {shown(said)}"
            return ElementError.at(where, "", what, "ask the site again")
        return Record(where, fields, {})

    def _items(self, opening: str, closing: str) -> Iterator[None]:
        """Stop at each item of a list or object, for the caller to read it."""
        self._take(opening)
        is_first = True
        while not self._text.startswith(closing, self._at):
            if not is_first:
                self._take(",")
            is_first = False
            yield
            self._skip()
        self._at += 1

    def _take(self, sign: str) -> None:
        """Go past a sign, and the blanks on both sides of it."""
        self._skip()
        if not self._text.startswith(sign, self._at):
            raise json.JSONDecodeError(f"Expecting {sign!r} delimiter", self._text, self._at)
        self._at += 1
        self._skip()

    def _skip(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _value(self, what: str) -> Any:
        """The value that begins here."""
        part = self._text[self._at : self._at + LONGEST_ROW]
        try:
            value, length = _DECODE(part)
        except json.JSONDecodeError as error:
            # Text that was cut off here fails at its end, or where its last string began.
            at_end = error.pos > len(part) - 16 or error.msg.startswith("Unterminated string")
            if at_end and self._at + len(part) < len(self._text):
                raise ValueError(f"{what} has more than {LONGEST_ROW} characters") from None
            raise json.JSONDecodeError(error.msg, self._text, self._at + error.pos) from None
        self._at += length
        return value


def _inner(entry: dict[str, Any]) -> dict[str, Any]:
    """Fields of objects inside an entry, as of `{"info": {"satname": ...}, "tle": ...}`."""
    return {
        key: value
        for inner in entry.values()
        if isinstance(inner, dict)
        for key, value in inner.items()
    }


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
