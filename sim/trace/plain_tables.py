"""Tables of plain columns: written as CSV or Parquet without pandas, or aligned as text."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sim.files import check_file, written
from sim.formatting import table
from sim.trace.arrow import array, pa

Columns = Mapping[str, Sequence[Any] | np.ndarray]
ENDINGS = (".csv", ".parquet")


def write(columns: Columns, path: Path) -> None:
    """Write ``columns`` to a .csv or .parquet file."""
    write_batches([batch({name: array(values) for name, values in columns.items()})], path)


def batch(arrays: Mapping[str, Any]) -> Any:
    """Return a record batch of named Arrow arrays."""
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def write_batches(batches: Iterable[Any], path: Path) -> None:
    """Write Arrow record batches (at least one, of one schema) to a .csv or .parquet file.

    Each becomes a row group. The file appears when it is whole.
    """
    from pyarrow.csv import CSVWriter
    from pyarrow.parquet import ParquetWriter

    check_file(path, *ENDINGS)
    many = iter(batches)
    first = next(many)
    # Numbers hardly repeat: a dictionary of them takes twice the time and saves nothing.
    texts = [field.name for field in first.schema if pa.types.is_string(field.type)]
    how = {"compression": "zstd", "use_dictionary": texts}
    make = CSVWriter if path.suffix == ".csv" else partial(ParquetWriter, **how)
    with written(path) as part, make(part, first.schema) as writer:
        for rows in chain([first], many):
            writer.write_batch(rows)


FORMULA = tuple("=+-@\t\r")
"""How text begins that a spreadsheet takes for a formula."""


def without_formulas(table: Any) -> Any:
    """Return an Arrow table with a `'` before text that a spreadsheet would take for a formula."""
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            coded = table.column(number).combine_chunks().dictionary_encode()
            words = coded.dictionary.to_pylist()
            guarded = pa.array([f"'{word}" if word.startswith(FORMULA) else word for word in words])
            texts = pa.DictionaryArray.from_arrays(coded.indices, guarded).cast(field.type)
            table = table.set_column(number, field.name, texts)
    return table


def text(columns: Columns, forms: Mapping[str, str] = {}, heads: Mapping[str, str] = {}) -> str:
    """Align ``columns`` under ``heads`` or their names; numbers by ``forms``, else as 0.000."""
    shown = []
    number = (float, np.floating)
    for name, values in columns.items():
        form = forms.get(name, "{:.3f}").format
        shown.append([form(one) if isinstance(one, number) else str(one) for one in values])
    names = [heads.get(name, name) for name in columns]
    return table(names, list(map(list, zip(*shown, strict=True))))
