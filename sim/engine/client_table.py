"""The clients table: how many samples of which class each device holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sim.trace.arrow import array, coded_text
from sim.trace.schema import COLUMNS


def clients_table(clusters: Sequence[str], holdings: Sequence[Sequence[int]]) -> pa.Table:
    """Return the table from the columns that :meth:`learning.learner.Learner.build` returns."""
    cluster, *numbers = (np.array(column, np.int64) for column in holdings)
    columns = [coded_text(cluster, clusters), *map(array, numbers)]
    return pa.table(columns, schema=pa.schema(list(COLUMNS["clients"].items())))
