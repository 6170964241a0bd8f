"""What the time of clients and of rounds was spent on, and how often a client met the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orbit.windows import gaps_s
from sim.analysis.critical_path import Spent, critical_path
from sim.analysis.round_paths import Part, round_paths
from sim.analysis.spans import names_of_clients
from sim.analysis.traffic import COUNTED, Sent
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pieces_of

SECONDS_A_DAY = 86400.0
AWAITED = (Part.PASS_AWAITED, Part.CONTACT_AWAITED, Part.LINK_AWAITED)
QUEUED = (Part.PASS_TAKEN, Part.LINK_TAKEN)
SENDING = (Part.TO_SERVER, Part.TO_CLIENT, Part.LINK)


@dataclass(frozen=True)
class TimeSpent:
    """Shares of time: ``clients`` of all clients' time, ``rounds`` of that of the critical path.

    Each is of what was waited for or done: ``waiting``, ``queueing``, ``training``, ``sending``;
    of rounds also ``other``: what the server waits for beside its last client. ``rounds`` is empty
    where none was complete. ``passes`` were served, so many ``passes_a_day`` for each client on
    average; ``longest_gap_h`` is the longest time in which one of them had none. ``to_server`` and
    ``to_client`` are what was sent.
    """

    clients: Mapping[str, float]
    rounds: Mapping[str, float]
    passes: int
    passes_a_day: float
    longest_gap_h: float
    to_server: Sent
    to_client: Sent

    @property
    def decides(self) -> Mapping[str, float]:
        """The shares by which time is judged: those of rounds, without any those of clients."""
        return self.rounds or self.clients

    @property
    def most_cut(self) -> Sent:
        """The way on which a payload took more passes, or got through least."""
        return max(self.to_server, self.to_client, key=_cut)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        ways = {"to_server": self.to_server, "to_client": self.to_client}
        return {
            "clients": dict(self.clients),
            "rounds": dict(self.rounds),
            "passes": self.passes,
            "passes_a_day": self.passes_a_day,
            "longest_gap_h": self.longest_gap_h,
            **{name: _sent_json(sent) for name, sent in ways.items()},
        }


def _sent_json(sent: Sent) -> dict[str, Any]:
    return {
        "rows": sent.rows,
        "delivered": sent.delivered,
        "passes_each": sent.passes_each,
        "payload_bytes": sent.payload_bytes,
        "carried_bytes": sent.carried_bytes,
    }


def _cut(sent: Sent) -> float:
    if not sent.rows:
        return 0.0
    return float("inf") if sent.all_cut else sent.rows / sent.delivered


def time_spent(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> TimeSpent:
    """Return what the time of a run was spent on, from its tables."""
    end_s = float(manifest["simulated_s"])
    clients = names_of_clients(tables, manifest)
    path = critical_path(tables, end_s, clients)
    together = Spent(*map(sum, zip(Spent(), *path.clusters.values(), strict=True)))
    found = round_paths(tables, manifest)
    rounds = _of_spent(path.spent) if found is None else _of_parts(found.shares)
    to_server, to_client = Sent(), Sent()
    for transfers in pieces_of(tables, "transfers", COUNTED):
        to_server.add(transfers.filter(array(says(transfers, "toward", "server"))))
        to_client.add(transfers.filter(array(says(transfers, "toward", "client"))))
    passes, longest_gap_s = _passes(tables["contacts"], clients, end_s)
    days = end_s / SECONDS_A_DAY
    return TimeSpent(
        clients=_of_spent(together),
        rounds=rounds,
        passes=passes,
        passes_a_day=passes / days / len(clients) if days and clients else 0.0,
        longest_gap_h=longest_gap_s / 3600,
        to_server=to_server,
        to_client=to_client,
    )


def _of_spent(spent: Spent) -> dict[str, float]:
    shares = spent.shares
    return shares and {
        "waiting": shares["waiting"],
        "queueing": shares["queueing"],
        "training": shares["training"],
        "sending": shares["transmitting"],
    }


def _of_parts(shares: Mapping[Part, float]) -> dict[str, float]:
    groups: dict[str, Sequence[Part]] = {
        "waiting": AWAITED,
        "queueing": QUEUED,
        "training": (Part.TRAINING,),
        "sending": SENDING,
        "other": (Part.OTHER,),
    }
    if not shares:
        return {}
    return {name: sum(shares.get(part, 0.0) for part in parts) for name, parts in groups.items()}


def _passes(contacts: pa.Table, clients: Sequence[str], end_s: float) -> tuple[int, float]:
    """Return how many passes were served, and the longest time (s) of a client without one."""
    served = contacts.filter(contacts["served"])
    client = as_numpy(pc.index_in(served["cluster"], value_set=array(np.array(clients, str))), -1)
    begin_s, ended_s = (as_numpy(served[f"service_{edge}_s"]) for edge in ("start", "end"))
    longest_s = 0.0
    for number in range(len(clients)):
        mine = client == number
        longest_s = max(longest_s, float(gaps_s(begin_s[mine], ended_s[mine], end_s).max()))
    return len(served), longest_s
