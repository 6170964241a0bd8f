"""Fact and Row: something that happened, and the fact that is a row of a table.

The class of a row is the schema of its table: names, types and order of the columns, and which of
them are learnt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, get_type_hints

from sim.facts.coded import Coded
from statements.arrays import Floats, Ints, Mask


class ColumnKind(Enum):
    """Types of columns; a time is UTC, in microseconds."""

    FLOAT = "float"
    INT = "int"
    TEXT = "text"
    FLAG = "flag"
    TIME = "time"


Real = Annotated[float | Floats | None, ColumnKind.FLOAT]
Whole = Annotated[int | Ints | None, ColumnKind.INT]
Text = Annotated[str | Coded | Sequence[str] | None, ColumnKind.TEXT]
Flag = Annotated[bool | Mask | None, ColumnKind.FLAG]
Instant = Annotated[Any, ColumnKind.TIME]
OneReal = Annotated[float, ColumnKind.FLOAT]
OneText = Annotated[str, ColumnKind.TEXT]
"""Fields that are columns: of one row a value, of N rows an array (N,) or a value that all share;
None is null in all of them. Where rows of a whole table differ in what is null, an Arrow array.
``One...`` are those of rows that come one by one."""


@dataclass(frozen=True)
class Column:
    """A column of a table; its unit is in its name, and ``*_s`` are seconds since the run's start.

    ``learned`` columns are learning results; all others are timing. ``attribute`` is that of the
    row that holds values.
    """

    name: str
    attribute: str
    kind: ColumnKind
    doc: str
    learned: bool = False


def column(doc: str, *, name: str | None = None, learned: bool = False) -> Mapping[str, Any]:
    """Return the metadata of a field that is a column, by its own name or another: see `Column`."""
    return {"column": {"doc": doc, "name": name, "learned": learned}}


class ComputedColumn(property):
    """A column that is not given but follows from the class of a row and its other fields."""

    about: Mapping[str, Any]
    behind: str


def computed(
    kind: ColumnKind, doc: str, *, behind: str
) -> Callable[[Callable[[Any], Any]], ComputedColumn]:
    """Make a property a column of the table, right ``behind`` another one."""

    def declare(read: Callable[[Any], Any]) -> ComputedColumn:
        made = ComputedColumn(read)
        made.about = {"kind": kind, "doc": doc}
        made.behind = behind
        return made

    return declare


class Fact:
    """Something that happened in a run."""

    __slots__ = ()


class Row(Fact):
    """A fact that is a row of a ``table``, or N rows of it that were written together.

    Its fields with a ``column`` are columns of the table, which has those of all its kinds of rows.
    Rows of a table are sorted by ``order``; those that tie stay as they were written. An
    ``optional`` table is stored only if it has rows. Rows of one ``stream`` are digested in the
    order in which they come; rows of different streams must not tie.
    """

    __slots__ = ()

    table: ClassVar[str]
    order: ClassVar[tuple[str, ...]]
    optional: ClassVar[bool] = False

    @property
    def stream(self) -> str:
        """The name of the stream of rows of its table."""
        return ""


_COLUMNS: dict[type[Row], tuple[Column, ...]] = {}


def columns_of(kind: type[Row]) -> tuple[Column, ...]:
    """Return the columns that a kind of row has, in the order of its table."""
    if kind not in _COLUMNS:  # each run asks, and a class is read by its type hints
        _COLUMNS[kind] = _declared_columns(kind)
    return _COLUMNS[kind]


def _declared_columns(kind: type[Row]) -> tuple[Column, ...]:
    hints = get_type_hints(kind, include_extras=True)
    columns: list[Column] = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if "column" in field.metadata:
            about = dict(field.metadata["column"])
            name = about.pop("name") or field.name
            columns.append(Column(name, field.name, hints[field.name].__metadata__[0], **about))
    for base in reversed(kind.__mro__):
        for name, member in vars(base).items():
            if isinstance(member, ComputedColumn):
                names = [column.name for column in columns]
                place = names.index(member.behind) + 1
                columns.insert(place, Column(name, name, **member.about))
    return tuple(columns)


def single(value: float | Floats | None) -> float:
    """Return the value of a fact that is one row; raise TypeError for values of many."""
    if isinstance(value, float | int):
        return float(value)
    raise TypeError(f"{value!r} is not the value of one row")
