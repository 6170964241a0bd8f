"""Traffic: what was on the air. A broadcast is sent once, however many devices hear it."""

import pyarrow as pa
import pyarrow.compute as pc

ON_AIR = ("on_air_bytes", "delivered_bytes")
"""Columns of the transfers that traffic is made of."""


def on_air(transfers: pa.Table) -> pa.ChunkedArray:
    """Return the bytes that were sent for each transfer: they add up to the traffic.

    Run folders of before have no such column: of these it is what each receiver got.
    """
    return pc.coalesce(transfers["on_air_bytes"], transfers["delivered_bytes"])
