"""Rules: what holds for one client, as a build says."""

from __future__ import annotations

from dataclasses import dataclass

from learning.requests.cluster import WAITS_FOR_ALL, Quorum
from sim.devices.compute import Computing
from sim.devices.energy import Transmitter
from sim.devices.faults import Faults
from sim.network.outcomes import CutTransfers
from sim.plan.sessions import PlannedSessions


@dataclass(frozen=True, eq=False)
class Rules:
    """What holds for one client: its sessions, how its devices compute and send, what fails.

    ``closing`` says whom a chain with uploads waits for,
    ``cut_transfers`` what becomes of a transfer that a contact cuts off, ``faults`` what goes wrong
    on the link (None: nothing).
    """

    sessions: PlannedSessions
    computing: Computing
    transmitter: Transmitter
    closing: Quorum = WAITS_FOR_ALL
    cut_transfers: CutTransfers = "resume"
    faults: Faults | None = None
