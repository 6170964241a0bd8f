"""The tables of a run: their columns, types and order of rows, as ``tables.yaml`` lists them."""

from typing import Any

import pyarrow as pa
import yaml

from sim.files import packaged

FLOAT, INT, TEXT, FLAG = pa.float64(), pa.int64(), pa.string(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
TYPES = {"float": FLOAT, "int": INT, "text": TEXT, "flag": FLAG, "time": TIME}

_TABLES: dict[str, dict[str, Any]] = yaml.safe_load(packaged("sim.trace", "tables.yaml"))

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    name: {column: TYPES[said.split()[0]] for column, said in table["columns"].items()}
    for name, table in _TABLES.items()
}
"""Columns of the run folder's tables, with their Arrow types. Times in seconds since the start."""


def _said(what: str) -> dict[str, tuple[str, ...]]:
    """Columns of each table of which the list says something beside their type."""
    return {
        name: tuple(key for key, said in table["columns"].items() if what in said.split()[1:])
        for name, table in _TABLES.items()
    }


ORDER: dict[str, tuple[str, ...]] = {name: (*table["order"],) for name, table in _TABLES.items()}
OPTIONAL = tuple(name for name, table in _TABLES.items() if "optional" in table)
"""Tables that are written only where they have rows."""
UNDIGESTED = tuple(name for name, table in _TABLES.items() if "undigested" in table)
"""Tables that the digests leave out: those of runs from before there were any stay the same."""
UNDIGESTED_COLUMNS = _said("undigested")
"""Columns that they leave out: what these say follows from others, or was added later."""
APPENDED = _said("appended")
"""Columns that only some runs fill; a folder of before they were there is read without them."""
LEARNED = _said("learned")
"""Columns that hold learning results, as do those that no table has; all others are timing."""

KINDS = (
    *("disconnect", "train_end", "connect", "wait", "assign"),
    *("upload_start", "upload_end", "aggregate", "download_start", "download_end"),
    *("train_start", "infer", "drop", "fault", "evaluate"),
)
"""Kinds of events, in the order in which those of one instant are listed."""
