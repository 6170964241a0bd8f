"""What happened when, as bars in lanes: contacts by cluster, transfers and training by device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KINDS = {
    "view": "in view",
    "served": "served",
    "training": "training",
    "uplink": "uplink",
    "downlink": "downlink",
    "sidelink": "sidelink",
}
"""Kinds of bars in the order in which they are drawn, and what they are called."""
MOST_BARS = 100_000
"""Bars that a page carries; beyond, those of a lane that lie close together are joined."""
MOST_DEVICE_LANES = 60
"""Devices up to which each has a lane of its own."""
UNIT_S = 0.01
"""Times go into the page as whole numbers of this."""
FINEST = 2.0**-20
"""Share of the run within which bars are joined at first, when there are too many."""

NOBODY = -1
"""In the place of a device: the lane is the cluster's."""


def timeline(tables: Mapping[str, pa.Table], end_s: float, start_utc: str) -> dict[str, Any]:
    """Return lanes and bars up to ``end_s`` as JSON-ready data for the page's script.

    A lane has a ``name``, a ``level`` (0 cluster, 1 device), and by kind of bar ``begin`` (each
    counted from the one before) and ``length`` in units of :data:`UNIT_S`, ``says`` (number of a
    text) and ``count`` (how many bars were joined to it).
    """
    bars = _bars(tables)
    bars = bars[bars["begin_s"] < end_s].assign(end_s=lambda b: b["end_s"].clip(upper=end_s))
    by_device = len(bars[["cluster", "device"]].drop_duplicates()) <= MOST_DEVICE_LANES
    if not by_device:
        bars.loc[bars["device"] != NOBODY, "device"] = 0
    bars, joined_s = _few(bars, end_s)
    codes, words = bars["says"].factorize()
    bars = bars.assign(says=codes)
    return {
        "kinds": {kind: said for kind, said in KINDS.items() if (bars["kind"] == kind).any()},
        "lanes": [
            {"name": _name(c, d, by_device), "level": int(d != NOBODY), "bars": _coded(lane)}
            for (c, d), lane in bars.groupby(["cluster", "device"])
        ],
        "says": list(words),
        "unit_s": UNIT_S,
        "end_s": end_s,
        "start_utc": start_utc,
        "joined_s": joined_s,
        "by_device": by_device,
    }


def _name(cluster: str, device: int, by_device: bool) -> str:
    if device == NOBODY:
        return cluster
    return f"device {device}" if by_device else "all devices"


def _bars(tables: Mapping[str, pa.Table]) -> pd.DataFrame:
    """All bars: cluster, device, kind, begin_s, end_s, says; each stands for one of what it is."""
    import pandas as pd

    parts = [*_contacts(tables["contacts"]), _transfers(tables["transfers"])]
    bars = pd.concat([*parts, _training(tables["events"])], ignore_index=True)
    return bars.astype({"device": np.int64}).assign(count=1)


def _contacts(contacts: pa.Table) -> list[pd.DataFrame]:
    rows = contacts.to_pandas().assign(device=NOBODY, says=lambda r: r["satellite"].fillna(""))
    served = rows[rows["served"].astype(bool)]
    return [
        _named(rows.assign(kind="view"), "rise_s", "set_s"),
        _named(served.assign(kind="served"), "service_start_s", "service_end_s"),
    ]


def _transfers(transfers: pa.Table) -> pd.DataFrame:
    rows = transfers.to_pandas()
    said = rows["payload"] + ", " + rows["outcome"]
    return _named(rows.assign(kind=rows["direction"], says=said), "start_s", "end_s")


def _training(events: pa.Table) -> pd.DataFrame:
    """Begin and end of rounds, in pairs: a device trains one thing at a time."""
    rows = events.select(["time_s", "kind", "cluster", "device", "rounds"]).to_pandas()
    keys = ["cluster", "device", "time_s"]
    begun = rows[rows["kind"] == "train_start"].sort_values(keys, kind="stable")
    ended = rows[rows["kind"] == "train_end"].sort_values(keys, kind="stable")
    said = begun["rounds"].map(lambda n: f"{n:.0f} round{'s' if n != 1 else ''}")
    whole = begun.assign(end_s=ended["time_s"].to_numpy(), kind="training", says=said)
    return _named(whole, "time_s", "end_s")


def _named(rows: pd.DataFrame, begin: str, end: str) -> pd.DataFrame:
    names = {begin: "begin_s", end: "end_s"}
    kept = ["cluster", "device", "kind", "begin_s", "end_s", "says"]
    return rows.rename(columns=names)[kept]


def _few(bars: pd.DataFrame, end_s: float) -> tuple[pd.DataFrame, float]:
    """Join bars of a lane and kind over growing gaps until they are few; return the gap too."""
    bars = bars.sort_values(["cluster", "device", "kind", "begin_s", "end_s"], kind="stable")
    gap_s = 0.0
    while len(bars) > MOST_BARS:
        gap_s = max(2 * gap_s, FINEST * end_s)
        bars = _joined(bars, gap_s)
    return bars, gap_s


def _joined(bars: pd.DataFrame, gap_s: float) -> pd.DataFrame:
    """Join the bars of each lane and kind between which less than ``gap_s`` lies."""
    keys = ["cluster", "device", "kind"]
    lane = bars.groupby(keys, sort=False)
    reach_s = lane["end_s"].cummax().shift(fill_value=-np.inf)
    new = ~bars.duplicated(keys) | (bars["begin_s"] > reach_s + gap_s)
    groups = bars.groupby(new.cumsum(), sort=False)
    joined = groups.agg(
        cluster=("cluster", "first"),
        device=("device", "first"),
        kind=("kind", "first"),
        begin_s=("begin_s", "first"),
        end_s=("end_s", "max"),
        says=("says", "first"),
        count=("count", "sum"),
    )
    same = groups["says"].nunique() == 1
    return joined.assign(says=joined["says"].where(same, "")).reset_index(drop=True)


def _coded(lane: pd.DataFrame) -> dict[str, Any]:
    return {kind: _numbers(bars) for kind, bars in lane.groupby("kind")}


def _numbers(bars: pd.DataFrame) -> dict[str, list[int]]:
    begin = (bars["begin_s"] / UNIT_S).round().astype(np.int64)
    length = (bars["end_s"] / UNIT_S).round().astype(np.int64) - begin
    numbers = {
        "begin": np.diff(begin, prepend=0).tolist(),
        "length": length.tolist(),
        "says": bars["says"].tolist(),
    }
    return numbers | ({"count": bars["count"].tolist()} if (bars["count"] > 1).any() else {})
