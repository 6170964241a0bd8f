"""JSON of elements: the entries of a list, however it is wrapped, or one object."""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from orbit.checks import shown
from orbit.element_record import AGAIN, Record, is_entry
from orbit.files import LONGEST_ROW, no_json
from orbit.satellite import ElementError

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
