"""The summary of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.facts import INJECTED, Cause
from sim.analysis import experts
from sim.analysis.critical_path import CriticalPath
from sim.analysis.evaluations import (
    Judged,
    accuracies,
    by_validation,
    first_reached,
    is_measured,
    server_rounds,
    steps_per_round,
    sum_if_known,
    target_name,
    targets_of,
    time_averaged,
)
from sim.analysis.experts import answer_figures
from sim.analysis.labels import code_label
from sim.analysis.learnt import Learnt
from sim.analysis.rounds import client_idle_share, client_word, ends_s_in, round_figures
from sim.facts.directions import DIRECTIONS
from sim.facts.energy import total
from sim.trace.arrow import array, as_numpy
from sim.trace.parquet import plain
from sim.trace.sorting import coded, grouped_by, says
from sim.trace.tables import pieces_of, pooled_metrics


def fault_counts(events: pa.Table) -> dict[str, int]:
    """Count the faults of each kind that the scenario asked for; kinds without any are left out."""
    codes, causes = coded(events.column("cause"))
    counts = np.bincount(codes[codes >= 0], minlength=len(causes)).tolist()
    found = dict(zip(causes, counts, strict=True))
    return {plural: found[cause] for cause, (plural, _) in INJECTED.items() if found.get(cause)}


JOULES_PER_KWH = 3.6e6

COUNTED_OF_EVENTS = ("time_s", "kind", "cluster", "rounds", "cause", "clusters")
"""Columns of the events that figures are made of."""
MOVED = (
    "direction",
    "payload",
    "payload_bytes",
    "on_air_bytes",
    "delivered_bytes",
    "outcome",
    "message",
)
"""Columns of the transfers that figures of traffic are made of."""


def summarise(
    tables: Mapping[str, pa.Table],
    manifest: Mapping[str, Any],
    learnt: Learnt,
    mesh_path: CriticalPath | None,
) -> dict[str, Any]:
    """Return the figures of one run as a flat JSON-ready dictionary, nested one level at most.

    Events and transfers are read once, piece by piece, and only the columns that count.
    ``mesh_path`` is the critical path of a run whose messages travel over a mesh.
    """
    steps = steps_per_round(manifest)
    own = server_rounds(manifest.get("spent"), -1)
    learning = _learning(tables, manifest, learnt)
    learning["accuracy_worst_client"] = min(_of_clients(tables, "accuracy"), default=None)
    learning["loss_worst_client"] = max(_of_clients(tables, "loss"), default=None)
    contacts = _contacts(tables["contacts"], manifest.get("simulated_s", math.inf))
    events = _events(tables, manifest)
    # A timing-only run has measured no relevance: its assignments say nothing of the gate.
    assigned = tables["assignments"]
    split = experts.by_cluster(assigned) if is_measured(learning) else assigned.slice(0, 0)
    return {
        **{key: manifest.get(key) for key in ("name", "method", "seed", "status", "wall_s")},
        "own_code": code_label(manifest),
        "ended_by": manifest.get("ended_by"),
        "model_kept": manifest.get("model_kept"),
        **learning,
        "client": client_word(manifest),
        "hours": manifest.get("simulated_s", 0.0) / 3600,
        **contacts,
        "waits": events["waits"],
        "device_rounds": events["device_rounds"],
        "gradient_steps": None if steps is None else (events["device_rounds"] + own) * steps,
        "device_hours_trained": manifest.get("computed_device_s", 0.0) / 3600,
        "idle_share": idle_share(manifest),
        "client_idle_share": client_idle_share(tables, manifest),
        "rounds": round_figures(events["round_ends_s"], tables, manifest),
        **_mesh_figures(mesh_path),
        "kept_bytes": manifest.get("kept_bytes"),
        "trainings": manifest.get("trainings"),
        "trainings_reused": manifest.get("trainings_reused"),
        **_energy(manifest.get("energy")),
        **_traffic(tables),
        **_loads(manifest.get("loads", [])),
        "charges": manifest.get("charges", []),
        "model_expert_bytes": manifest.get("model_expert_bytes"),
        "stand_in": manifest.get("stand_in"),
        "excluded_devices": events["excluded_devices"],
        "faults": events["faults"],
        **_updates(staleness(tables)),
        **experts.split_figures(split),
        **answer_figures(tables),
        "alignment": experts.alignment_figures(assigned),
        "checks": manifest.get("checks", []),
        "warnings": manifest.get("warnings", []),
        "trace_sha256": manifest.get("trace_sha256"),
    }


def network_summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a network study: those of its manifest, and what it is of."""
    about = ("name", "seed", "status", "wall_s", "trace_sha256", "timing_sha256")
    return {
        **{key: manifest.get(key) for key in about},
        "hours": manifest["simulated_s"] / 3600,
        **manifest["network"],
        "warnings": manifest.get("warnings", []),
    }


def _learning(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any], learnt: Learnt
) -> dict[str, Any]:
    cycles = pooled_metrics(tables)["cycle"]
    curve, judged, guess = learnt.curve, learnt.judged, learnt.guess
    # What was evaluated at the start alone says nothing of what was learnt.
    since = curve if any(one.hours > 0.0 for one in curve) else []
    chosen = by_validation(since, judged)
    best = max(accuracies(since), default=None)
    lowest = max((one.loss for one in since), key=Judged.LOSS.merit, default=None)
    final = since[-1] if since else None
    wanted = targets_of(curve, manifest)
    crossed = {target_name(one): first_reached(curve, one) for one in wanted}
    # A target below what chance gives is not reached by learning.
    by_chance = learnt.has_learnt is False and not learnt.was_lost
    return {
        "cycles": cycles[-1].as_py() if len(cycles) else 0,
        "judged_by": judged,
        "trained": manifest.get("scenario", {}).get("learning", {}).get("train", True),
        "accuracy_start": curve[0].accuracy if curve else None,
        "accuracy_final": None if final is None else final.accuracy,
        "accuracy_best": best if chosen is None else chosen.accuracy,
        "accuracy_mean": time_averaged(since, manifest.get("simulated_s", 0.0) / 3600),
        "loss_start": curve[0].loss if curve else None,
        "loss_final": None if final is None else final.loss,
        "loss_best": lowest if chosen is None else chosen.loss,
        "validation_final": None if final is None else final.validation,
        "validation_best": None if chosen is None else chosen.validation,
        "validation_loss_final": None if final is None else final.validation_loss,
        "validation_loss_best": None if chosen is None else chosen.validation_loss,
        "guess": None
        if guess is None
        else {key: getattr(guess, key) for key in ("choices", "share", "loss_nats")},
        "targets": crossed,
        "reached": {} if by_chance else {name: when for name, when in crossed.items() if when},
    }


def _of_clients(tables: Mapping[str, pa.Table], figure: str) -> list[float]:
    """Return a figure of all clients at the end; nothing where clients are not tested."""
    found: list[tuple[float, float]] = []
    for piece in pieces_of(tables, "metrics", ["time_s", "scope", figure]):
        of_clients = piece.filter(array(says(piece, "scope", "client"))).drop_null()
        pairs = (as_numpy(of_clients.column(name)) for name in ("time_s", figure))
        found += zip(*(column.tolist() for column in pairs), strict=True)
    last_s = max((time_s for time_s, _ in found), default=0.0)
    # What was evaluated at the start alone says nothing of what was learnt.
    ends = [value for time_s, value in found if time_s == last_s > 0.0]
    return [math.nan] if any(map(math.isnan, ends)) else ends


def _mesh_figures(path: CriticalPath | None) -> dict[str, Any]:
    """Return what the rounds over a mesh were spent on, and the link that takes most of them."""
    if path is None or path.unit != "round":
        return {"round_shares": None, "limiting_link": None}
    link = None
    for most, lasted_s in [*path.links_s.items()][:1]:
        link = most._asdict() | {"share": lasted_s / sum(path.parts_s.values())}
    shares = {str(part): share for part, share in path.shares.items()}
    return {"round_shares": shares, "limiting_link": link}


def _energy(clusters: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Energy of all devices, None where their power is not known; of sending what is radiated."""
    ways = ("training_j", "transmit_j")
    training_j, transmit_j = (None if clusters is None else total(clusters, way) for way in ways)
    return {
        "training_energy_j": training_j,
        "training_energy_kwh": None if training_j is None else training_j / JOULES_PER_KWH,
        "transmit_energy_j": transmit_j,
        "energy_j": sum_if_known(training_j, transmit_j),
    }


def idle_share(manifest: Mapping[str, Any]) -> float | None:
    """Return the share of device time in which devices neither compute nor transmit.

    ``1 - (sum computed_s + sum air_s) / (devices * simulated_s)`` over all devices: ``computed_s``
    also counts rounds that are not complete, and inference; ``air_s`` is time on air, to satellites
    (times the duty of a shared sub-channel) and over sidelinks. Receiving is idle. Where a device
    computes while it sends, as in inference, that time counts twice. None where there is no time
    or nobody to spend it.
    """
    rows = manifest.get("energy") or []
    whole_s = sum(row["devices"] for row in rows) * manifest.get("simulated_s", 0.0)
    busy_s: float = sum(row["computed_s"] + row["air_s"] for row in rows)
    return 1.0 - busy_s / whole_s if whole_s > 0.0 else None


def _loads(loads: list[dict[str, Any]]) -> dict[str, Any]:
    """The most that any device had to load, and the most that any had to load at the least."""
    names = {
        "device_memory_bytes": "memory_bytes",
        "expert_memory_bytes": "expert_bytes",
        "least_device_memory_bytes": "least_memory_bytes",
        "least_expert_memory_bytes": "least_expert_bytes",
        "round_flops": "round_flops",
    }
    return {n: max((load[key] for load in loads), default=None) for n, key in names.items()}


def _contacts(contacts: pa.Table, end_s: float) -> dict[str, Any]:
    """Figures of the contacts that began before the run ended; the plan may hold later ones."""
    contacts = contacts.filter(array(as_numpy(contacts.column("rise_s")) < end_s))
    served, duration = (as_numpy(contacts.column(key)) for key in ("served", "duration_s"))
    rise_s = as_numpy(contacts.column("rise_s"))
    in_view_s = np.minimum(duration, end_s - rise_s)  # the run may end in a pass
    lasted_s = pc.subtract(contacts.column("service_end_s"), contacts.column("service_start_s"))
    return {
        "contacts": len(contacts),
        "contacts_served": int(served.sum()),
        "service_hours": _sum(lasted_s) / 3600,
        "in_view_hours": float(in_view_s.sum()) / 3600,
        "median_contact_s": float(np.median(duration)) if len(duration) else None,
    }


def _events(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Waits, local rounds, ends of rounds, faults, and devices that have too little memory."""
    waits = rounds = 0
    excluded: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    ends_s = []
    for events in pieces_of(tables, "events", COUNTED_OF_EVENTS):
        ends_s.append(ends_s_in(events, manifest))
        waits += int(says(events, "kind", "wait").sum())
        ended = array(says(events, "kind", "train_end"))
        rounds += int(_sum(events.column("rounds").filter(ended)))
        injected.update(fault_counts(events))
        excludes = array(says(events, "cause", Cause.MEMORY))
        excluded.update(plain(events.filter(excludes)).column("cluster").to_pylist())
    return {
        "waits": waits,
        "device_rounds": rounds,
        "round_ends_s": np.unique(np.concatenate(ends_s)),
        "excluded_devices": dict(sorted(excluded.items())),
        "faults": dict(injected),
    }


def staleness(tables: Mapping[str, pa.Table]) -> dict[int, int]:
    """Return how many updates of devices of each staleness the server used."""
    counts: Counter[int] = Counter()
    for updates in pieces_of(tables, "updates", ["staleness"]) if "updates" in tables else ():
        for each in pc.value_counts(updates.column("staleness")).to_pylist():
            counts[each["values"]] += each["counts"]
    return dict(sorted(counts.items()))


def _updates(counts: Mapping[int, int]) -> dict[str, Any]:
    used = sum(counts.values())
    total = sum(versions * count for versions, count in counts.items())
    return {
        "updates_used": used,
        "staleness_mean": total / used if used else None,
        "staleness_max": max(counts, default=None),
    }


def _traffic(tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Bytes by direction, rows, and the largest size of everything of which something moved.

    A broadcast, which there is from space to the ground only, counts once; what all its receivers
    got of it together is a figure of its own.
    """
    moved = dict.fromkeys(DIRECTIONS, 0.0)
    received = 0.0
    rows = cut = 0
    messages = set[int]()
    largest: dict[tuple[str, str], float] = {}
    for transfers in pieces_of(tables, "transfers", MOVED):
        for direction in DIRECTIONS:
            there = array(says(transfers, "direction", direction))
            moved[direction] += _sum(transfers.column("on_air_bytes").filter(there))
            if direction == "downlink":
                received += _sum(transfers.column("delivered_bytes").filter(there))
        rows += len(transfers)
        cut += len(transfers) - int(says(transfers, "outcome", "delivered").sum())
        messages.update(pc.unique(transfers.column("message").drop_null()).to_pylist())
        order, first, groups = grouped_by(transfers, ["direction", "payload"])
        sizes = np.maximum.reduceat(as_numpy(transfers.column("payload_bytes"))[order], first)
        names = zip(*groups.to_pydict().values(), strict=True)
        for key, size in zip(names, sizes.tolist(), strict=True):
            largest[key] = max(size, largest.get(key, 0.0))
    return {
        **{f"{direction}_bytes": bytes_ for direction, bytes_ in moved.items()},
        "downlink_received_bytes": received,
        "transfers": rows,
        "transfers_cut": cut,
        "messages": len(messages),
        "payloads": [
            {"direction": direction, "payload": payload, "bytes": largest[direction, payload]}
            for direction, payload in sorted(largest, key=lambda key: (key[0] != "uplink", key[1]))
        ],
    }


def _sum(values: pa.ChunkedArray) -> float:
    return float(pc.sum(values).as_py() or 0.0)
