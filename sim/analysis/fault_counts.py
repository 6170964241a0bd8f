"""What faults did to a run, counted out of its events table."""

import numpy as np
import pyarrow as pa

from learning.requests.facts import INJECTED
from sim.trace.sorting import coded


def fault_counts(events: pa.Table) -> dict[str, int]:
    """Count the faults of each kind that the scenario asked for; kinds without any are left out."""
    codes, causes = coded(events.column("cause"))
    counts = np.bincount(codes[codes >= 0], minlength=len(causes)).tolist()
    found = dict(zip(causes, counts, strict=True))
    return {plural: found[cause] for cause, (plural, _) in INJECTED.items() if found.get(cause)}
