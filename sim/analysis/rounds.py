"""Rounds of a method, and what becomes of satellites that are the clients of stations."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import scenarios
from learning.methods.options import read_options
from sim.analysis.methods import known_method
from sim.trace.arrow import array, as_numpy
from sim.trace.parquet import plain
from sim.trace.sorting import numbers_of, says
from sim.trace.tables import pieces_of
from sim.world.scenery import planes_of_clients
from statements.arrays import Floats, Ints


def client_word(manifest: Mapping[str, Any]) -> str:
    """What a client of a run is called: a cluster, or a satellite or a plane of a constellation."""
    roles: Mapping[str, str] = manifest.get("scenario", {}).get("roles") or {}
    return {"satellites": "satellite", "planes": "plane"}.get(roles.get("clients", ""), "cluster")


def in_orbit(manifest: Mapping[str, Any]) -> bool:
    """Whether the clients of a run are satellites, or planes of them."""
    return client_word(manifest) != "cluster"


def round_ends_s(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> Floats:
    """Return when rounds have ended (R,), in seconds; empty for a method without rounds."""
    pieces = pieces_of(tables, "events", ["kind", "time_s", "clusters"])
    return np.unique(np.concatenate([ends_s_in(events, manifest) for events in pieces]))


def ends_s_in(events: pa.Table, manifest: Mapping[str, Any]) -> Floats:
    """Return when rounds have ended by a piece of the events; an instant may come twice.

    A round ends when the server aggregates the updates of clusters that it has waited for. With
    satellites as clients every aggregation ends one.
    """
    ends = plain(events.filter(array(says(events, "kind", "aggregate"))))
    if not in_orbit(manifest):
        ends = ends.filter(pc.is_valid(ends["clusters"]))
    return as_numpy(ends["time_s"])


def round_figures(
    ends_s: Floats, tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return how many rounds there were, and how long they took; None for a run without any.

    A round lasts from the aggregation before it to its own, the first one from the start. With
    satellites whose planes are known, ``planes`` is how many of them the updates of a round come
    from in the mean, and ``planes_even`` how many if every client were as likely to be in it.

    ``passes_to`` is how the authors of the method count rounds over passes, to the ``rise`` or the
    ``set`` of the pass after it (:meth:`~learning.methods.base.Method.rounds_counted_to`), and
    ``passes_mean_s`` and so on how long rounds are by that count, but for those that no pass
    follows; None where they do not count so.
    """
    if not len(ends_s):
        return None
    planes, even = _planes(tables, manifest) if in_orbit(manifest) else (None, None)
    counted_to = _counted_to(manifest) if in_orbit(manifest) else None
    by_passes_s: Floats = np.empty(0)
    if counted_to is not None:
        by_passes_s = _between_passes_s(ends_s, tables["contacts"], counted_to)
    return {
        "count": len(ends_s),
        **_durations("", np.diff(ends_s, prepend=0.0)),
        "planes": planes,
        "planes_even": even,
        "passes_to": counted_to,
        **_durations("passes_", by_passes_s),
    }


def _durations(head: str, lasted_s: Floats) -> dict[str, float | None]:
    """Return mean, median and 95th percentile of durations (R,); None of none."""
    known = len(lasted_s) > 0
    return {
        f"{head}mean_s": float(lasted_s.mean()) if known else None,
        f"{head}median_s": float(np.median(lasted_s)) if known else None,
        f"{head}p95_s": float(np.percentile(lasted_s, 95)) if known else None,
    }


def _counted_to(manifest: Mapping[str, Any]) -> Literal["rise", "set"] | None:
    """Return how the authors of a run's method count rounds over passes."""
    method = known_method(manifest["method"])
    if method is not None:
        with suppress(ValueError):  # a run of an earlier version may have options that are no more
            options = read_options(method.Options, manifest["scenario"]["learning"]["options"])
            return method.rounds_counted_to(options)
    return None


def _between_passes_s(
    ends_s: Floats, contacts: pa.Table, counted_to: Literal["rise", "set"]
) -> Floats:
    """Return durations (R,) of rounds that end at ``ends_s`` (N,), as programs over passes count.

    They begin with the first pass after the round before, the first of them with the first pass,
    and end with the rise or the set of the first pass after them. A round without one is left out.
    """
    passes = contacts.filter(contacts["served"]).sort_by("rise_s")
    rise_s = as_numpy(passes["rise_s"])
    after = np.searchsorted(rise_s, ends_s, "right")
    first = np.append(0, after[:-1])
    whole = after < len(rise_s)
    return as_numpy(passes[f"{counted_to}_s"])[after[whole]] - rise_s[first[whole]]


def _planes(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """Distinct planes of a round in the mean, and of as many clients drawn without replacement."""
    clients = planes_of_clients(scenarios.from_dict(manifest["scenario"]))
    if "updates" not in tables or not all(clients.values()):
        return None, None
    rows = tables["updates"]
    names = list(clients)
    different, plane = np.unique(list(clients.values()), return_inverse=True)
    if len(different) == len(clients):  # one of each: there is nothing to tell
        return None, None
    client = as_numpy(pc.index_in(rows["cluster"], value_set=array(np.array(names))))
    # Each client of a round once, however many updates it has brought.
    rounds, client = np.unique(np.stack([numbers_of(rows["round"]), client]), axis=1).astype(int)
    _, drawn = np.unique(rounds, return_counts=True)
    held = np.unique(np.stack([rounds, plane[client]]), axis=1).shape[1]
    others = len(clients) - np.bincount(plane)
    even = [_expected(others[:, None] - np.arange(n), len(clients) - np.arange(n)) for n in drawn]
    return held / len(drawn), float(np.mean(even))


def _expected(others: Ints, clients: Ints) -> float:
    """Planes (P,) that are drawn from, with what is left of the others' clients (P, n), and of all.

    A plane is missed with the probability that each draw takes another one's.
    """
    return float((1.0 - np.prod(np.maximum(others, 0) / clients, axis=1)).sum())


def client_idle_share(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> float | None:
    """Return the share of time in which satellites neither train nor transfer, their mean.

    ``1 - (sum computed_s + sum of transfers' durations) / (clients * simulated_s)``: unlike in
    ``idle_share`` of all devices, who receives is not idle. None where satellites are no clients,
    and for a run that simulated no time.
    """
    clients = manifest.get("energy") or []
    whole_s: float = len(clients) * manifest.get("simulated_s", 0.0)
    if not in_orbit(manifest) or not whole_s > 0.0:
        return None
    busy_s = float(sum(client["computed_s"] for client in clients))
    for transfers in pieces_of(tables, "transfers", ["start_s", "end_s"]):
        busy_s += float((as_numpy(transfers["end_s"]) - as_numpy(transfers["start_s"])).sum())
    return 1.0 - busy_s / whole_s
