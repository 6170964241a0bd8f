"""The clients table: how many samples of which class each device holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sim.facts.learning import ClientRow
from sim.trace.arrow import array, coded_text
from sim.trace.schema import table_of


def clients_table(clusters: Sequence[str], holdings: Sequence[Sequence[int]]) -> pa.Table:
    """Return how many samples of which class each device holds.

    ``holdings`` are the columns that :meth:`learning.learner.Learner.build` returns.
    """
    cluster, device, label, samples = (np.array(column, np.int64) for column in holdings)
    return table_of(
        ClientRow(
            cluster=coded_text(cluster, clusters),
            device=array(device),
            label=array(label),
            samples=array(samples),
        )
    )
