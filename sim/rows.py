"""Rows of the events and transfers tables, one block for all devices of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learning.method import Cluster
from learning.requests import Floats, Mask
from sim.plan import Plan, PlannedContact
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.transfers import Training, Transfer


class Rows:
    """Writes what a cluster's devices did into a trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._told: set[tuple[str, int]] = set()

    def training(self, leg: Training, done: Mask, cluster: Cluster, contact_id: int | None) -> None:
        """When the devices in ``done`` began and ended their rounds."""
        rows = np.flatnonzero(done)
        shared: dict[str, Any] = {"cluster": cluster.name, "device": rows, "contact_id": contact_id}
        shared["rounds"] = leg.rounds[rows]
        add = self._trace.add
        add("events", len(rows), time_s=leg.begin_s[rows], kind="train_start", **shared)
        add("events", len(rows), time_s=leg.end_s[rows], kind="train_end", **shared)

    def excluded(self, excluded: Mask, cluster: Cluster, time_s: float) -> None:
        """Which devices cannot hold what they were to train; each is told of once."""
        new = [k for k in np.flatnonzero(excluded).tolist() if (cluster.name, k) not in self._told]
        self._told.update((cluster.name, k) for k in new)
        self._trace.add(
            "events",
            len(new),
            time_s=time_s,
            kind="fault",
            cluster=cluster.name,
            device=np.array(new, np.int64),
            detail="does not train: too little memory",
        )

    def transfer(
        self,
        leg: Transfer,
        done: Mask,
        moved: Floats,
        stop_s: Floats,
        cluster: Cluster,
        contact: PlannedContact,
    ) -> None:
        """What moved between begin and stop, and with which outcome."""
        rows = np.flatnonzero(leg.who & (moved > 0))
        missing = "carried" if leg.carry else "dropped"
        outcome = ["delivered" if done[k] else missing for k in rows]
        shared: dict[str, Any] = {
            "cluster": cluster.name,
            "device": rows,
            "contact_id": contact.contact_id,
            "version": leg.version[rows],
        }
        begin, stop = leg.begin_s[rows], stop_s[rows]
        self._trace.add(
            "transfers",
            len(rows),
            direction=leg.direction,
            payload=leg.name,
            payload_bytes=leg.size[rows],
            delivered_bytes=moved[rows],
            start_s=begin,
            end_s=stop,
            outcome=outcome,
            **shared,
        )
        verb = "upload" if leg.direction == "uplink" else "download"
        details = [f"{leg.name} {text}" for text in outcome]
        add = self._trace.add
        add("events", len(rows), time_s=begin, kind=f"{verb}_start", detail=leg.name, **shared)
        add("events", len(rows), time_s=stop, kind=f"{verb}_end", detail=details, **shared)
        lost = np.array([text == "dropped" for text in outcome], bool)
        self._drop(leg, rows[lost], stop[lost], cluster, contact, "given up")

    def stale(
        self, leg: Transfer, forgotten: Mask, cluster: Cluster, contact: PlannedContact
    ) -> None:
        """Which devices had a partial transfer of another version, now forgotten."""
        rows = np.flatnonzero(forgotten)
        self._drop(leg, rows, leg.begin_s[rows], cluster, contact, "stale part forgotten")

    def _drop(
        self,
        leg: Transfer,
        rows: np.ndarray,
        time_s: Floats,
        cluster: Cluster,
        contact: PlannedContact,
        why: str,
    ) -> None:
        self._trace.add(
            "events",
            len(rows),
            time_s=time_s,
            kind="drop",
            cluster=cluster.name,
            device=rows,
            contact_id=contact.contact_id,
            version=leg.version[rows],
            detail=f"{leg.name} {why}",
        )

    def waits(self, plan: Plan) -> None:
        """Every contact that a busy beam keeps waiting or never serves."""
        for contact in plan.contacts:
            if contact.served and contact.start_s <= contact.rise_s:
                continue
            until = f"served from {contact.start_s:.3f} s" if contact.served else "not served"
            self._trace.add(
                "events",
                time_s=contact.rise_s,
                kind="wait",
                cluster=contact.cluster.name,
                contact_id=contact.contact_id,
                detail=f"beam busy: {until}",
            )
