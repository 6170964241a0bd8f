"""Tables as tools write them: separators, lines above the header, spellings, units, durations."""

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain, islice, pairwise
from math import isfinite, isnan, nan, pi

import numpy as np

from orbit.checks import shown
from orbit.formats.files import LONGEST_ROW, MOST_LINES, MOST_ROWS, TableError

OnBad = Callable[[TableError], None]
"""Is told of each row that is left out."""


def leave_out(wrong: TableError, on_bad: OnBad | None) -> None:
    """Tell `on_bad` of a row that is wrong, or raise what is wrong with it."""
    if on_bad is None:
        raise wrong from None
    on_bad(wrong)


OF_PASSES = ("satellite", "site", "rise_utc", "set_utc")
"""Columns that a table of passes has at least."""
_SEPARATORS = (",", ";", "\t", "  ")
_BLANKS = {"  ": re.compile(r"\s{2,}"), " ": re.compile(r"\s+(?![(\[{])")}
"""Separators that may be longer; a single blank separates numbers, and no unit in brackets."""
_MOST_ABOVE = 50
"""Lines above a header that are looked through for it."""
_NO_TABLE = {
    "JSON": re.compile(r"\s*(\{|\[\s*(\{|$))"),
    "XML or a web page": re.compile(r"\s*<[?!\w]"),
}
"""How texts begin that are no tables."""
_RULE = re.compile(r"\s*[-=]{2}[-=\s]*")
"""The line of dashes that reports draw below a header."""
_DATUM = re.compile(r"[+-]?\.?\d[\d\s.,:/+TZ-]*(?:e[+-]?\d+)?", re.IGNORECASE)
"""A number or a time, which no column is called."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_ABSENT = frozenset(("", "null", "none", "nan", "nat", "n/a", "na", "-", "--"))
_NO_NAME = frozenset(("", "null", "none", "nan"))


@dataclass(frozen=True)
class _Line:
    source: str
    line: int

    def error(self, message: str) -> TableError:
        """The error to raise for this line."""
        return TableError(f"{self.source}:{self.line}: {message}")


@dataclass(frozen=True)
class Table(_Line):
    """A header line with its columns, and the rows below it, or what is wrong with them."""

    columns: tuple[str, ...]
    entries: "Iterator[Row | TableError]"
    """Read on demand."""

    def rows(self, on_bad: OnBad | None = None) -> "Iterator[Row]":
        """The rows; raises TableError for one that is wrong, or tells `on_bad` of it."""
        for entry in self.entries:
            if isinstance(entry, Row):
                yield entry
            else:
                leave_out(entry, on_bad)


@dataclass(frozen=True)
class Row(_Line):
    """The cells of a row (without blanks around them) by column.

    They may be absent, in other units, or have a decimal comma.
    """

    cells: dict[str, str]
    decimal_comma: bool = False

    def absent(self, column: str) -> bool:
        """Whether a cell says that there is nothing."""
        return self.cells[column].lower() in _ABSENT

    def name(self, column: str) -> str:
        """A cell that must name something."""
        text = self.cells[column]
        if text.lower() in _NO_NAME:
            raise self.error(f"{column} is empty; give a name, or leave the whole column out")
        if not text.isprintable():
            what = f"{text!r:.60} has characters that cannot be shown"
            raise self.error(f"{column} {what}; retype it")
        return text

    def number(self, column: str) -> float:
        """A finite number as it is written, without its unit."""
        return self._read(column, self.cells[column])

    def with_cell(self, column: str, text: str) -> "Row":
        """The same row with another text in a cell."""
        return replace(self, cells={**self.cells, column: text})

    def with_point(self, column: str) -> str:
        """A cell with a decimal point, where it is a number with a decimal comma."""
        return _with_point(self.cells[column], decimal_comma=self.decimal_comma)

    def _read(self, column: str, text: str) -> float:
        value = _number(text, decimal_comma=self.decimal_comma)
        if isnan(value):
            raise self.error(f"{column} {shown(text)} is not a number; give one such as 12.5")
        return value

    def in_unit(self, column: str, unit: str) -> tuple[float, float]:
        """A number in a unit of ours (s, deg, km or km_s), and one of its last digit.

        By the unit behind it, by that in the header, or as it is. Raises TableError for another
        quantity's unit, and for one that is unknown.
        """
        text = self.cells[column]
        if unit == "s" and (spelt := self._duration(column, text)):
            return spelt
        match = _NUMBER_AND_UNIT.fullmatch(text)
        digits, behind = match.groups() if match else (text, "")
        factor = self._factor(column, unit, behind)
        decimals = re.search(r"[.,](\d*)", digits)
        last = 10.0 ** -len(decimals[1]) if decimals else 1.0
        return self._read(column, digits) * factor, last * factor

    def _factor(self, column: str, unit: str, behind: str) -> float:
        try:
            return _factor_of(behind, unit) if behind else header_factor(column, unit)
        except ValueError as error:
            raise self.error(f"{column} {shown(self.cells[column])}: {error}") from None

    def _duration(self, column: str, text: str) -> tuple[float, float] | None:
        """Seconds of 0:07:01, 7:01 below a header that says which, 0 days 00:07:01, or 7m 1s."""
        if spelt := spelt_duration(text, decimal_comma=self.decimal_comma):
            return spelt
        match = _SEXAGESIMAL.fullmatch(text)
        if match is None:
            return None
        days, first, second, third, decimals = match.groups()
        share = float(f"0{decimals.replace(',', '.')}" if decimals else 0.0)
        parts = float(first), float(second), float(third or 0.0) + share
        if third is None:
            form = re.sub(r"[.,].*", "", re.split(r"[(\[{]", column.lower())[-1])
            form = "".join(re.findall(r"[a-z]", form))
            if form in ("mmss", "mss", "minsec", "ms"):
                parts = 0.0, parts[0], parts[1] + share
            elif form not in ("hhmm", "hmm", "hm") or decimals:
                raise self.error(
                    f"{column} {text!r} may be minutes or hours; write it as h:mm:ss or in "
                    f"seconds, or say so in the header: {column} (mm:ss)"
                )
        return (float(days or 0) * 24 + parts[0]) * 3600 + parts[1] * 60 + parts[2], 1.0


def _with_point(text: str, *, decimal_comma: bool) -> str:
    return text.replace(",", ".") if decimal_comma and _DECIMAL_COMMA.fullmatch(text) else text


def _number(text: str, *, decimal_comma: bool) -> float:
    """A finite number, nan for any other text."""
    try:
        value = float(_with_point(text, decimal_comma=decimal_comma))
    except ValueError:
        return nan
    return value if isfinite(value) and "_" not in text else nan


def _is_number(text: str, *, decimal_comma: bool = False) -> bool:
    return not isnan(_number(text, decimal_comma=decimal_comma))


_NUMBER_AND_UNIT = re.compile(r"([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*([^\d\s.,+-].*|)")
_SEXAGESIMAL = re.compile(
    r"(?:(\d+) days?,? \+?)?(\d+):([0-5]\d)(?::([0-5]\d)|(?=[.,]))?([.,]\d*)?"
)
_PART_OF_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]+)[\s,]*")


# Units of other tools, as factors to ours.

UNITS: dict[str, dict[str, float]] = {
    "s": {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
        **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
        **dict.fromkeys(("us", "µs", "microsecond", "microseconds"), 1e-6),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
        **dict.fromkeys(("d", "day", "days"), 86_400.0),
    },
    "deg": {
        **dict.fromkeys(("deg", "degs", "degree", "degrees", "°"), 1.0),
        **dict.fromkeys(("rad", "rads", "radian", "radians"), 180.0 / pi),
        **dict.fromkeys(("mrad", "mrads", "milliradians"), 0.18 / pi),
        **dict.fromkeys(("arcmin", "arcminutes"), 1.0 / 60.0),
    },
    "km": {
        **dict.fromkeys(("km", "kms", "kilometer", "kilometers", "kilometre", "kilometres"), 1.0),
        **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e-3),
        **dict.fromkeys(("mi", "mile", "miles"), 1.609344),
        **dict.fromkeys(("nmi", "nautical miles"), 1.852),
        **dict.fromkeys(("ft", "feet"), 3.048e-4),
    },
    "km_s": {
        **dict.fromkeys(("km/s", "km/sec", "km_s", "km s", "kmps", "km s-1", "km*s^-1"), 1.0),
        **dict.fromkeys(("m/s", "m/sec", "m_s", "m s", "mps", "m s-1", "m*s^-1"), 1e-3),
        **dict.fromkeys(("km/h", "kmh", "kph", "km_h"), 1.0 / 3600.0),
    },
}
_MEANING = {"s": "time", "deg": "angle", "km": "distance", "km_s": "speed"}
_EXAMPLES = {
    "s": "s, min or hr", "deg": "deg or rad", "km": "km or m", "km_s": "km/s or m/s",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-zµ]+|[A-Z]|°")
_CLOCK_FORM = re.compile(
    r"(d?d?:?h{1,2}:m{1,2}(:s{1,2})?|m{1,2}:s{1,2}|min:sec|h:min(:sec)?)([.,][a-z0]+)?"
)


def _factor_of(name: str, unit: str) -> float:
    """The factor from a unit by its name to one of ours; ValueError for another one."""
    plain = " ".join(name.lower().rstrip(".").split())
    found = UNITS[unit].get(plain)
    if found is None:
        raise ValueError(
            f"{name!r} is no unit of {_MEANING[unit]} that is known; use {_EXAMPLES[unit]}, and "
            "name the unit in the header"
        )
    return found


def spelt_duration(text: str, *, decimal_comma: bool = False) -> tuple[float, float] | None:
    """Seconds of 372.1 s, 6m 12s, 1 h 02 min or PT6M12S, and one of their last digit; else None."""
    plain = re.sub(r"^p(\d+d)?t(?=\d)", lambda days: days[1] or "", text.strip().lower())
    if decimal_comma:
        plain = re.sub(r"(?<=\d),(?=\d)", ".", plain)
    parts = _PART_OF_DURATION.findall(plain)
    units = {**UNITS["s"], "m": 60.0}
    scales = [units.get(unit, nan) for _, unit in parts]
    in_order = all(longer > shorter for longer, shorter in pairwise([*scales, 0.0]))
    if not parts or not in_order or _PART_OF_DURATION.sub("", plain):
        return None
    numbers = [number for number, _ in parts]
    decimals = len(numbers[-1].partition(".")[2])
    return float(np.dot(np.array(numbers, float), scales)), 10.0**-decimals * scales[-1]


def header_factor(header: str, unit: str) -> float:
    """The factor from the unit that a header names to ours; 1 where it names none.

    The unit is in brackets at the end, or a word: Duration (sec), duration_min. Raises ValueError
    where it is another quantity's, unknown, or one of several.
    """
    if bracket := re.search(r"[(\[{]([^)\]}]*)[)\]}]\s*$", header):
        inside = bracket[1].strip()
        is_form = unit == "s" and _CLOCK_FORM.fullmatch(inside.lower())
        return 1.0 if is_form or not inside else _factor_of(inside, unit)
    known = UNITS[unit]
    if unit == "km_s":
        plain = re.sub(r"[ _]+", "_", header.lower())
        ends = [name for name in known if re.search(rf"(^|[_ ]){re.escape(name)}$", plain)]
        return known[max(ends, key=len)] if ends else 1.0
    words = [word.lower() for word in _WORD.findall(header)]
    last = words[-1] if words else ""
    if last in known:
        return known[last]
    found = {known[word] for word in words if word in known and len(word) > 1}
    # A lonely "min" is the least one of other quantities.
    others = {name for kind, names in UNITS.items() if kind != unit for name in names} - {"min"}
    if len(found) > 1 or (not found and last in others):
        bare = re.sub(r"[ _]+[a-zA-Z]$", "", header)
        raise ValueError(
            f"its header does not tell the unit; name it like {bare} ({unit}), with "
            f"{_EXAMPLES[unit]}"
        )
    return found.pop() if found else 1.0


# Rows of a text.


def letters_of(name: str) -> str:
    """A name without case and separators: that of rise_utc, Rise UTC and riseUtc is one."""
    return "".join(filter(str.isalnum, name.lower()))


@dataclass(frozen=True)
class _Form:
    """How a table separates its columns: by a character, or by one or two blanks and more."""

    separator: str

    def cells(self, line: str) -> list[str]:
        """The cells of a line, without blanks around them; csv.Error for a broken quotation."""
        if blanks := _BLANKS.get(self.separator):
            return blanks.split(line.strip())
        if '"' not in line:
            return [cell.strip() for cell in line.split(self.separator)]
        reader = csv.reader([line], delimiter=self.separator, strict=True, skipinitialspace=True)
        return [cell.strip() for cell in next(reader)]

    def has_cells(self, line: str, count: int) -> bool:
        """Whether a line is a row of so many cells."""
        try:
            return len(self.cells(line)) == count
        except csv.Error:
            return False

    def are_numbers(self, line: str, count: int) -> bool:
        """Whether a line is a row of so many numbers."""
        if not self.has_cells(line, count):
            return False
        comma = self.separator != ","
        return all(_is_number(cell, decimal_comma=comma) for cell in self.cells(line))

    def columns(self, line: str, names: Collection[str]) -> list[str]:
        """The cells of a header; those that are one of `names` but for its spelling are that."""
        cells = [" ".join(cell.split()) for cell in self.cells(line)]
        missing = {letters_of(name): name for name in names if name not in cells}
        return [cell if cell in names else missing.pop(letters_of(cell), cell) for cell in cells]


@dataclass(frozen=True)
class _Header:
    """The header of a table: its line, how columns are separated, and what they are called.

    Its `rows` begin below so many lines; without a header, `line` is that of the first one.
    """

    line: int
    rows: int
    form: _Form
    columns: list[str]
    where: str = "in the header"


def header_of(
    line: str,
    names: Collection[str],
    is_header: Callable[[Collection[str]], bool],
    separators: Sequence[str] = _SEPARATORS,
) -> tuple[_Form, list[str]] | None:
    """How a line separates its columns and what they are called, if it `is_header`."""
    for form in map(_Form, separators):
        with suppress(csv.Error):
            if is_header(cells := form.columns(line, names)):
                return form, cells
    return None


def parse_table(
    text: str,
    source: str,
    names: Collection[str],
    is_header: Callable[[Collection[str]], bool],
    needed: Sequence[str] = (),
    most_rows: int = MOST_ROWS,
    bare: Sequence[str] = (),
) -> Table:
    """The header of a table and its rows, on demand; blank lines and # comments are skipped.

    Columns are separated by commas, semicolons, tabs, or two blanks and more, whichever the header
    has; those that are called like one of `names` but for case and separators have that name, and
    one without a name, as the index of pandas, is no column. The header is the first line that
    `is_header`, or the first line of all: reports have lines above, and a line of dashes below it.
    A table of numbers whose columns are `bare` may lack the header, and have single blanks.
    Raises TableError for a broken quotation in it, no row, a header that is missing (it has the
    columns `needed`), and a column twice; its rows do behind `most_rows`.
    """
    lines = _numbered(text.removeprefix("\ufeff"), source)
    above = list(islice(lines, _MOST_ABOVE))
    header = _header(above, is_header, names, source, needed, bare)
    below = above[header.rows :]
    if below and _RULE.fullmatch(below[0][1]):
        below = below[1:]
    first = list(islice(chain(below, lines), 1))
    rows = _rows(chain(first, below[1:], lines), source, header, most_rows)
    table = Table(source, header.line, tuple(filter(None, header.columns)), rows)
    twice = next((name for name, times in Counter(table.columns).items() if times > 1), None)
    if twice is not None:
        raise table.error(f"column {shown(twice)} comes twice; keep one of them")
    if not first:
        raise table.error(NO_ROWS)
    return table


NO_ROWS = "no rows found; give a header line and one row or more below it"


def _numbered(text: str, source: str) -> Iterator[tuple[int, str]]:
    """Lines that are neither blank nor comments with their numbers; a quoted one may be broken."""
    if text.count("\n") + text.count("\r") > MOST_LINES:
        raise TableError(f"{source}:1: more than {MOST_LINES} lines; give a part of it")
    first = True
    pending = ""
    for number, line in enumerate(StringIO(text, newline=""), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        whole = pending + line.strip("\r\n")
        # A header that is broken into lines inside its quotation marks is one line.
        if first and whole.count('"') % 2 and len(whole) <= LONGEST_ROW:
            pending = whole + " "
            continue
        first = False
        pending = ""
        yield number, whole
    if pending:
        yield 1, pending


def _header(
    lines: list[tuple[int, str]],
    is_header: Callable[[Collection[str]], bool],
    names: Collection[str],
    source: str,
    needed: Sequence[str],
    bare: Sequence[str],
) -> _Header:
    """The header among the lines; that of `bare` numbers is theirs."""
    separators = (*_SEPARATORS, " ") if bare else _SEPARATORS
    for place, (number, line) in enumerate(lines):
        if len(line) > LONGEST_ROW:
            raise TableError(f"{source}:{number}: {TOO_LONG}")
        if header := header_of(line, names, is_header, separators):
            return _Header(number, place + 1, *header)
        if bare and (form := _form_of_numbers(line, separators, bare, f"{source}:{number}")):
            return _Header(number, place, form, list(bare), "in the first")
    if not lines:
        raise TableError(f"{source}:1: {NO_ROWS}")
    number, line = lines[0]
    if other := next((name for name, begin in _NO_TABLE.items() if begin.match(line)), None):
        columns = f" with the columns {', '.join(needed)}" if needed else ""
        raise TableError(f"{source}:{number}: {other} instead of a table; give a table{columns}")
    separator = max(_SEPARATORS[:-1], key=line.count)
    form = _Form(separator if separator in line or "  " not in line.strip() else "  ")
    try:
        cells = form.columns(line, names)
    except csv.Error as error:
        raise TableError(f"{source}:{number}: {error}; {_QUOTES}") from None
    if any(map(_DATUM.fullmatch, cells)):
        raise TableError(
            f"{source}:{number}: the header line is missing, as {shown(line)} has no names of "
            f"columns; add one above it, with the columns {', '.join(needed)}"
        )
    return _Header(number, 1, form, cells)


def _form_of_numbers(
    line: str, separators: Sequence[str], columns: Sequence[str], where: str
) -> _Form | None:
    """How a line separates numbers for the columns; None where it has no number."""
    for form in map(_Form, separators):
        if form.are_numbers(line.rstrip(" ,;\t"), len(columns)):
            return form
    if any(_is_number(word) for word in re.split(r"[\s,;]+", line)):
        raise TableError(
            f"{where}: {shown(line.strip())} is neither {' and '.join(columns)} nor a header that "
            "names them; correct this line"
        )
    return None


_QUOTES = "check the quotation marks of this row"
TOO_LONG = f"a row of more than {LONGEST_ROW} characters; give a shorter one"


def _joined(lines: Iterator[tuple[int, str]], form: _Form, width: int) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; those that a quotation spans are one where that is a row."""
    ahead: deque[tuple[int, str]] = deque()
    while (first := ahead.popleft() if ahead else next(lines, None)) is not None:
        number, line = first
        if line.count('"') % 2:
            parts = [line]
            length = len(line)
            for following in chain(tuple(ahead), lines):
                if len(parts) > len(ahead):
                    ahead.append(following)
                parts.append(following[1])
                length += len(following[1]) + 1
                if following[1].count('"') % 2 or length > LONGEST_ROW:
                    break
            if form.has_cells("\n".join(parts), width):
                line = "\n".join(parts)
                for _ in parts[1:]:
                    ahead.popleft()
        yield number, line


def _rows(
    lines: Iterator[tuple[int, str]], source: str, header: _Header, most_rows: int
) -> Iterator[Row | TableError]:
    form, columns = header.form, header.columns
    for count, (number, line) in enumerate(_joined(lines, form, len(columns)), 1):
        if count > most_rows:
            raise TableError(f"{source}:{number}: more than {most_rows} rows; give a part of it")
        if len(line) > LONGEST_ROW:
            yield TableError(f"{source}:{number}: {TOO_LONG}")
            continue
        try:
            cells = form.cells(line)
        except csv.Error as error:
            yield TableError(f"{source}:{number}: {error}; {_QUOTES}")
            continue
        if not any(cells[len(columns) :]):
            cells = cells[: len(columns)]  # separators at the end
        if len(cells) == len(columns):
            if any(cells):
                named = dict(zip(columns, cells, strict=True))
                yield Row(source, number, named, decimal_comma=form.separator != ",")
        elif any(cells):
            what = f"cells in the row: {len(cells)}, {header.where}: {len(columns)}"
            remedy = "give every column its cell, empty if need be"
            yield TableError(f"{source}:{number}: {what}; {remedy}")


def unit_of(column: str) -> str:
    """The unit that ends the name of one of our columns."""
    return next(unit for unit in ("km_s", "km", "deg", "s") if column.endswith(f"_{unit}"))
