"""What happened when, as bars in lanes: contacts by cluster, transfers and training by device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from sim.analysis import spans
from sim.analysis.rounds import client_word
from sim.analysis.spans import Spans
from sim.analysis.thinning import joined
from sim.facts.directions import DIRECTION_NAMES
from sim.replay.packing import packed, steps

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KINDS = {
    "view": "in view",
    "served": "served",
    "training": "training",
} | DIRECTION_NAMES
"""Kinds of bars in the order in which they are drawn, and what they are called."""
MOST_BARS = 5_000
"""Bars that a page carries; beyond, those of a lane that lie close together are joined."""
MOST_DEVICE_LANES = 60
"""Devices up to which each has a lane of its own."""
UNIT_S = 0.01
"""Times go into the page as whole numbers of this."""

NOBODY = -1
"""In the place of a device: the lane is the cluster's."""


def timeline(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return lanes and bars of a run as JSON-ready data for the page's script.

    A lane has a ``name``, a ``level`` (0 cluster, 1 device), and how many ``bars`` of each kind.
    The bars stand one after the other, packed: ``begin`` (as steps) and ``length`` in units of
    ``unit_s``, ``says`` (as steps: number of a text), and ``count`` (how many were joined to it).
    ``clusters_of_a_lane`` of the ``clusters`` share a lane. So many as ``left_out`` have none: what
    satellites and gateways send of devices on the ground.
    """
    import pandas as pd

    bars = _bars(tables)
    end_s = manifest["simulated_s"]
    client = client_word(manifest)
    bars = bars[bars["begin_s"] < end_s].assign(end_s=lambda b: b["end_s"].clip(upper=end_s))
    names = spans.names_of_clients(tables, manifest)
    shared = spans.clusters_of_a_lane(len(names))
    clusters = spans.lanes_of(names)
    bars["lane"] = pd.Index(names).get_indexer(bars["cluster"]) // shared
    has_lane = bars["lane"] >= 0
    left_out = int(bars.loc[~has_lane, "cluster"].notna().sum())
    bars = bars[has_lane]  # what belongs to no client has no lane
    # Devices that are alone in their clusters have lanes of their own, however many they are.
    lanes = bars[["lane", "device"]].drop_duplicates()
    alone = bool((bars["device"] <= 0).all())
    by_device = shared == 1 and (len(lanes) <= MOST_DEVICE_LANES or alone)
    if not by_device:
        bars.loc[bars["device"] != NOBODY, "device"] = 0
    bars, joined_s = _few(bars)
    codes, words = bars["says"].factorize()
    bars = bars.assign(says=codes, place=bars["kind"].map(list(KINDS).index))
    bars = bars.sort_values(["lane", "device", "place"], kind="stable")
    headed = set(bars["lane"][bars["device"] == NOBODY])
    return {
        "kinds": {kind: name for kind, name in KINDS.items() if (bars["kind"] == kind).any()},
        "lanes": [
            {
                "name": _name(
                    spans.lane_name(clusters[number]),
                    device,
                    by_device=by_device,
                    client=client,
                    headed=number in headed,
                ),
                "level": int(device != NOBODY),
                "bars": lane["kind"].value_counts().to_dict(),
            }
            for (number, device), lane in bars.groupby(["lane", "device"])
        ],
        "bars": _numbers(bars),
        "words": list(words),
        "unit_s": UNIT_S,
        "end_s": end_s,
        "start_utc": manifest["start_utc"],
        "joined_s": joined_s,
        "by_device": by_device,
        "clusters": len(names),
        "clusters_of_a_lane": shared,
        "left_out": left_out,
    }


def _name(cluster: str, device: int, *, by_device: bool, client: str, headed: bool) -> str:
    """Name a lane; one without a lane of its cluster's contacts above it names the cluster too."""
    if device == NOBODY or client != "cluster":  # satellites and planes are one device each
        on_board = "on board" if headed else f"{cluster}: on board"
        return cluster if device == NOBODY else on_board
    return f"device {device}" if by_device else "all devices"


def _bars(tables: Mapping[str, pa.Table]) -> pd.DataFrame:
    """All bars: cluster, device, kind, begin_s, end_s, says; each stands for one of what it is."""
    import pandas as pd

    seen, served, trained, moved = spans.activities(tables).values()
    outcomes = pc.binary_join_element_wise(moved.rows["payload"], moved.rows["outcome"], ", ")
    rounds = trained.rows["rounds"].to_pandas()
    done = rounds.map(lambda n: f"{n:.0f} round{'s' if n != 1 else ''}")
    parts = [
        *(
            _of_kind(
                kind,
                part,
                pc.coalesce(part.rows["station"], part.rows["satellite"], "").to_pandas(),
            )
            for kind, part in (("view", seen), ("served", served))
        ),
        _of_kind(moved.rows["direction"].to_pandas(), moved, outcomes.to_pandas()),
        _of_kind("training", trained, done),
    ]
    return pd.concat(parts, ignore_index=True).astype({"device": np.int64}).assign(count=1)


def _of_kind(kind: str | pd.Series, part: Spans, says: pd.Series) -> pd.DataFrame:
    import pandas as pd

    rows = part.rows
    device = rows["device"].to_pandas() if "device" in rows.column_names else NOBODY
    where = {"cluster": rows["cluster"].to_pandas(), "device": device, "kind": kind}
    return pd.DataFrame({**where, "begin_s": part.begin_s, "end_s": part.end_s, "says": says})


def _few(bars: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Join bars of a lane and kind over the shortest gaps until they are few; return the longest.

    A bar that is joined stands for several, and says what they all say. Of few bars none is joined.
    """
    keys = ["lane", "device", "kind"]
    bars = bars.sort_values([*keys, "begin_s", "end_s"], kind="stable", ignore_index=True)
    if len(bars) <= MOST_BARS:
        return bars, 0.0
    lane = bars.groupby(keys, sort=False).ngroup().to_numpy()
    found = joined(lane, bars["begin_s"].to_numpy(), bars["end_s"].to_numpy(), MOST_BARS)
    groups = bars.iloc[found.order].groupby(found.group, sort=False)
    first = dict.fromkeys([*keys, "begin_s", "says"], "first")
    few = groups.agg({**first, "end_s": "max", "count": "sum"})
    same = groups["says"].nunique() == 1
    return few.assign(says=few["says"].where(same, "")), found.closed_s


def _numbers(bars: pd.DataFrame) -> dict[str, str]:
    begin = (bars["begin_s"] / UNIT_S).round().to_numpy(np.int64)
    length = (bars["end_s"] / UNIT_S).round().to_numpy(np.int64) - begin
    numbers = {
        "begin": packed(steps(begin)),
        "length": packed(length),
        "says": packed(steps(bars["says"].to_numpy())),
    }
    counts = bars["count"].to_numpy()
    return numbers | ({"count": packed(counts)} if (counts > 1).any() else {})
