"""Tables of plain columns: written as CSV or Parquet without pandas, printed aligned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.text import table

Columns = Mapping[str, Sequence[Any] | np.ndarray]


def write(columns: Columns, path: Path) -> None:
    """Write ``columns`` to a .csv or .parquet file."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"-o {path}: the file's name must end in .csv or .parquet")
    data = pa.table({name: pa.array(list(values)) for name, values in columns.items()})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(data, path)
    else:
        pyarrow.parquet.write_table(data, path)


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
