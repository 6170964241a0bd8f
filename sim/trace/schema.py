"""The tables of a run as Arrow sees them: columns, types and order of rows, as the facts say."""

import pyarrow as pa

from sim.facts.events import EventKind
from sim.facts.row import Row, columns_of
from sim.facts.tables import TABLES, columns_of_table

FLOAT = pa.float64()
INT = pa.int64()
TEXT = pa.string()
FLAG = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
TYPES = {"float": FLOAT, "int": INT, "text": TEXT, "flag": FLAG, "time": TIME}
"""Arrow types of columns by the values of :class:`~sim.facts.row.ColumnKind`."""

_COLUMNS = {name: columns_of_table(name) for name in TABLES}

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    name: {column.name: TYPES[column.kind.value] for column in columns}
    for name, columns in _COLUMNS.items()
}
"""Columns of the run folder's tables, with their Arrow types. Times in seconds since the start."""

ORDER: dict[str, tuple[str, ...]] = {name: kinds[0].order for name, kinds in TABLES.items()}
OPTIONAL = tuple(name for name, kinds in TABLES.items() if kinds[0].optional)
"""Tables that are written only where they have rows."""
LEARNED = {
    name: tuple(column.name for column in columns if column.learned)
    for name, columns in _COLUMNS.items()
}
"""Columns that hold learning results, as do those that no table has; all others are timing."""

KINDS = tuple(kind.value for kind in EventKind)
"""Kinds of events, in the order in which those of one instant are listed."""


def table_of(rows: Row) -> pa.Table:
    """Return the rows of a whole table, of which each column is an Arrow array."""
    table = {column.name: getattr(rows, column.attribute) for column in columns_of(type(rows))}
    schema = pa.schema(list(COLUMNS[rows.table].items()))
    return pa.table(list(table.values()), schema=schema)
