"""Batteries in a replay: whose charges are shown, and with few enough bends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.replay.packing import packed, steps
from sim.trace.arrow import as_numpy
from sim.trace.sorting import coded
from statements.arrays import Floats

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BATTERIES = 12
"""Batteries that a page shows: those that fell lowest."""
MOST_BENDS = 8_000
"""Bends of all charges of a run together; those that matter least are left out."""
CHARGE_UNIT = 1e-3
"""The unit in which a page carries charges, as shares of the capacity."""


class Held(NamedTuple):
    """What one battery held, as a share of its capacity: a straight line between times (N,)."""

    time_s: Floats
    share: Floats


def held_by(tables: Mapping[str, pa.Table]) -> dict[str, Held]:
    """Return the charge of each client's battery, none where the run has no batteries."""
    table = tables.get("charges")
    if table is None:
        return {}
    code, names = coded(table["cluster"])
    time_s, share = (as_numpy(table[name]) for name in ("time_s", "charge"))
    return {name: Held(time_s[code == n], share[code == n]) for n, name in enumerate(names)}


def lowest(runs: Sequence[Mapping[str, Held]], most: int = MOST_BATTERIES) -> list[str]:
    """Return the names of the batteries that fell lowest in any run, in canonical order."""
    least: dict[str, float] = {}
    for held in runs:
        for name, charge in held.items():
            least[name] = min(least.get(name, 1.0), float(charge.share.min()))
    return sorted(sorted(least, key=lambda name: (least[name], name))[:most])


def charges(
    held: Mapping[str, Held], names: Sequence[str], end_s: float, unit_s: float
) -> dict[str, str]:
    """How many ``bends`` each charge has, their times and charges: in steps, one after the other.

    Charges are in units of :data:`CHARGE_UNIT`; a battery that the run does not have has no bends.
    """
    own = [held.get(name, Held(np.zeros(0), np.zeros(0))) for name in names]
    own = [Held(one.time_s[one.time_s <= end_s], one.share[one.time_s <= end_s]) for one in own]
    off = CHARGE_UNIT / 2
    shown = [straightened(one, off) for one in own]
    while sum(len(one.time_s) for one in shown) > MOST_BENDS:
        off *= 2
        shown = [straightened(one, off) for one in own]
    time_s = np.concatenate([np.zeros(0), *(one.time_s for one in shown)])
    share = np.concatenate([np.zeros(0), *(one.share for one in shown)])
    return {
        "bends": packed([len(one.time_s) for one in shown]),
        "time": packed(steps(np.rint(time_s / unit_s))),
        "charge": packed(steps(np.rint(share / CHARGE_UNIT))),
    }


def straightened(held: Held, off: float) -> Held:
    """Leave out bends of a charge without which it is off by at most ``off``."""
    kept = np.fromiter(_kept(held.time_s.tolist(), held.share.tolist(), off), np.int64)
    return Held(held.time_s[kept], held.share[kept])


def _kept(time_s: Sequence[float], share: Sequence[float], off: float) -> Iterator[int]:
    """Yield the numbers of bends between which a straight line passes all others closely.

    From the last kept bend, lines whose rise is between ``low`` and ``high`` pass all bends since
    then closely enough. Both sides of a jump are kept.
    """
    if not time_s:
        return
    yield 0
    last, low, high = 0, -np.inf, np.inf
    for number in range(1, len(time_s)):
        since_s = time_s[number] - time_s[last]
        if since_s and low <= (share[number] - share[last]) / since_s <= high:
            low = max(low, (share[number] - off - share[last]) / since_s)
            high = min(high, (share[number] + off - share[last]) / since_s)
            continue
        if number - 1 > last:
            yield number - 1
        if time_s[number] == time_s[number - 1]:
            yield number
            last, low, high = number, -np.inf, np.inf
            continue
        last = number - 1
        since_s = time_s[number] - time_s[last]
        low = (share[number] - off - share[last]) / since_s
        high = (share[number] + off - share[last]) / since_s
    if last < len(time_s) - 1:
        yield len(time_s) - 1
