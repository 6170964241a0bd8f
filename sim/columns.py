"""Tables of plain columns: written as CSV or Parquet without pandas, printed aligned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sim.arrow import array
from sim.errors import InputError
from sim.units_text import table
from sim.writing import written

Columns = Mapping[str, Sequence[Any] | np.ndarray]


def check_path(path: Path) -> None:
    """Raise InputError unless a table can be written to ``path``."""
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"-o {path}: the file's name must end in .csv or .parquet")
    if not path.parent.is_dir():
        raise InputError(f"-o {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; name a file")


def write(columns: Columns, path: Path) -> None:
    """Write ``columns`` to a .csv or .parquet file."""
    write_batches([batch({name: array(values) for name, values in columns.items()})], path)


def batch(arrays: Mapping[str, Any]) -> Any:
    """Return a record batch of named Arrow arrays."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def write_batches(batches: Iterable[Any], path: Path) -> None:
    """Write Arrow record batches (at least one, of one schema) to a .csv or .parquet file.

    Each becomes a row group. The file appears when it is whole.
    """
    check_path(path)
    many = iter(batches)
    first = next(many)
    with written(path) as part, _writer(part, path.suffix, first.schema) as writer:
        for rows in chain([first], many):
            writer.write_batch(rows)


def _writer(part: Path, suffix: str, schema: Any) -> Any:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(part, schema)
    # Numbers hardly repeat: a dictionary of them takes twice the time and saves nothing.
    names = [field.name for field in schema if pa.types.is_string(field.type)]
    return pyarrow.parquet.ParquetWriter(part, schema, compression="zstd", use_dictionary=names)


def iso(times: np.ndarray, unit: Literal["ms", "us"] = "us") -> np.ndarray:
    """Return UTC times (datetime64) as text, like 2026-08-22T00:00:00.123456Z."""
    written: np.ndarray = np.datetime_as_string(times, unit=unit, timezone="UTC")
    return written


def text(
    columns: Columns,
    forms: Mapping[str, str] | None = None,
    heads: Mapping[str, str] | None = None,
) -> str:
    """Align ``columns`` under ``heads`` or their names; numbers by ``forms``, else as 0.000."""
    forms, heads = forms or {}, heads or {}
    shown = [
        [_cell(value, forms.get(name, "{:.3f}")) for value in values]
        for name, values in columns.items()
    ]
    return table(
        [heads.get(name, name) for name in columns], list(map(list, zip(*shown, strict=True)))
    )


def _cell(value: Any, form: str) -> str:
    if isinstance(value, float | np.floating):
        return form.format(value)
    return str(value)
