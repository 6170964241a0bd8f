"""Several contacts as one link: their curves one after the other."""

from collections.abc import Sequence

import numpy as np

from channel.arrays import Floats
from channel.curve import LinkCurve


def joined(curves: Sequence[LinkCurve], spans_s: Sequence[tuple[float, float]]) -> LinkCurve:
    """One curve that follows each of `curves` within its span (start, end), and is 0 in between.

    The curves are batches of the same K devices. Spans are seconds in order of time, and may touch
    but not overlap. What a curve carries outside its span is left out, so that the capacity is the
    sum of what the curves carry inside. Raises ValueError for no curve, curves that are no batches
    of the same devices, or spans that do not follow each other.
    """
    if not curves or len(curves) != len(spans_s):
        raise ValueError(f"{len(curves)} curves and {len(spans_s)} spans; give a span to each")
    rows = {curve.time_s.shape[:-1] for curve in curves}
    if len(rows) != 1 or rows == {()}:
        raise ValueError(f"the curves have rows {sorted(rows)}; give batches of the same devices")
    edges = np.array(spans_s, dtype=float).ravel()
    if not (np.isfinite(edges).all() and (np.diff(edges) >= 0).all()):
        raise ValueError(f"the spans {list(spans_s)} overlap; give them in order of time")
    pieces = [clipped(curve, *span) for curve, span in zip(curves, spans_s, strict=True)]
    return LinkCurve(
        np.concatenate([piece.time_s for piece in pieces], axis=1),
        np.concatenate([piece.rate_bps for piece in pieces], axis=1),
    )


def clipped(curve: LinkCurve, start_s: float | Floats, end_s: float | Floats) -> LinkCurve:
    """A batch of K rows between two times, for all or one a row (K,), falling to 0 at both.

    A row whose grid lies outside is at the nearer time, and carries nothing.
    """
    edges = [np.broadcast_to(edge_s, len(curve.time_s)) for edge_s in (start_s, end_s)]
    time = np.clip(curve.time_s, edges[0][:, None], edges[1][:, None])
    rate = curve.rate_bps
    for edge_s in edges:
        moved = (time == edge_s[:, None]) & (curve.time_s != edge_s[:, None])
        rate = np.where(moved, curve.rate_at_bps(edge_s)[:, None], rate)
    ends = ((0, 0), (1, 1))
    return LinkCurve(np.pad(time, ends, mode="edge"), np.pad(rate, ends))
