"""FedSpace: the server plans when it aggregates, from the contacts that are to come.

So, Hsieh, Arzani, Noghabi, Avestimehr and Chandra, FedSpace: An Efficient Federated Learning
Framework at Satellites and Ground Stations (arXiv 2202.01267).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, Weighted
from learning.methods.asynchronous import Asynchronous, AsynchronousOptions
from learning.methods.base import Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.surface import Needs
from learning.registry import Register
from learning.requests.cluster import Forecast
from learning.requests.peers import Wait
from learning.requests.request import Request
from learning.rng import stream
from statements.arrays import Floats, Ints, Mask

PER_SLOT = 4
"""Contacts of a satellite that are looked at, at most, for each slot that is planned."""

Utility = Callable[[Ints, Floats], float]
"""What an aggregation is worth: of the staleness (n,) of its updates, and of their c(s) (n,)."""


def sum_of_weights(_staleness: Ints, weights: Floats) -> float:
    """Return the sum of c(s): every update counts, the less the older it is."""
    return float(weights.sum())


UTILITIES: Register[Utility] = Register(
    "utility", "leomix.utilities", {"staleness": "learning.methods.fedspace:sum_of_weights"}
)


@dataclass(frozen=True, config=CHECKED)
class FedSpaceOptions(AsynchronousOptions):
    """Options of FedSpace."""

    slot_s: float = option(900.0, "length of a slot, s; aggregations are at ends", ge=1)
    horizon: int = option(24, "slots that are planned at a time: I0", ge=1)
    candidates: int = option(100, "plans that are drawn, the best one is kept", ge=1)
    utility: Annotated[str, AfterValidator(UTILITIES.known)] = option(
        "staleness", "worth of an aggregation: the sum of c(s), or MODULE:NAME"
    )


class FedSpace(Asynchronous):
    """Buffered aggregation at the ends of slots that a plan names.

    A satellite in contact uploads what it has trained and downloads the model, if that is newer
    than its own; it trains through the disconnected phase behind, and then rests until it gets a
    newer one. At the end of a slot in which the plan aggregates, w moves by
    sum_k c(s_k) g_k / sum_k c(s_k), over the updates g_k in the buffer, s_k versions old.
    Every ``horizon`` slots the plan is drawn anew: of ``candidates`` the one of the greatest
    utility, summed over the aggregations that it would make, by the contacts to come.
    """

    colour = "#00734a"
    registers: ClassVar[Mapping[str, Register[Any]]] = {"utilities": UTILITIES}
    Options: ClassVar[type] = FedSpaceOptions
    needs: ClassVar[Needs] = replace(Asynchronous.needs, satellites=True)
    begins_with_model: ClassVar[bool] = False

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        for me in world.clusters:  # the plan looks at all of them
            self.devices(me)
        self.utility = UTILITIES.find(self.options.utility)
        self.buffer_size = math.inf  # it is full when the plan says so

    # -- a satellite

    def exchange(self, devices: ClusterState) -> Protocol:
        """Bring what was trained, and take a model that is newer, to train once from it."""
        if devices.has_unsent(self.experts, gate=True).any():
            devices.offer(self.experts, gate=True)
            devices.require_download()
        yield from self.send(devices, "model")
        if base_of(devices) < self.version:
            down = yield devices.download("model", self.server, self.experts)
            devices.receive(down)

    # -- the server

    def server_protocol(self) -> Protocol:
        """Plan every ``horizon`` slots, and aggregate at the ends of those in the plan."""
        slot_s = self.options.slot_s
        horizon = self.options.horizon
        plan = np.zeros(horizon, bool)
        for slot in count():
            if slot % horizon == 0:
                plan = yield from self.plan(slot)
            yield Wait((slot + 1) * slot_s)
            if plan[slot % horizon] and self.buffer:
                updates = self.buffer
                self.buffer = []
                yield from self.aggregate(updates)

    def weighted(self, updates: list[Update]) -> list[Weighted]:
        """Return updates by c(s) over the sum of all c(s)."""
        stale = np.concatenate([update.behind(self.version) for update in updates])
        weights = 1.0 / self.options.divisor(stale)
        return list(zip(updates, (weights / weights.sum()).tolist(), strict=True))

    # -- the plan

    def plan(self, slot: int) -> Generator[Request, Any, Mask]:
        """Return the plan (I0,) of the greatest utility, for the slots from ``slot`` on."""
        slot_s = self.options.slot_s
        horizon = self.options.horizon
        contacts = []
        for name in self.sides:
            outlooks = yield Forecast(name, fresh=True, sessions=PER_SLOT * horizon)
            contacts += [(outlook.start_s, name) for outlook in outlooks]
        rows = [(int(start_s // slot_s) - slot, name) for start_s, name in sorted(contacts)]
        within = [(number, name) for number, name in rows if number < horizon]
        plans = self.drawn(stream(self.world.seed, "fedspace", slot))
        return plans[np.argmax([self.worth(plan, within) for plan in plans])]

    def drawn(self, rng: np.random.Generator) -> Mask:
        """Return candidates (R, I0): each with a share of aggregations of its own."""
        shape = self.options.candidates, self.options.horizon
        return rng.random(shape) < rng.random((shape[0], 1))

    def worth(self, plan: Mask, contacts: Sequence[tuple[int, str]]) -> float:
        """Return the summed utility of a plan (I0,), by the slot and satellite of each contact."""
        version = self.version
        total = 0.0
        base = {name: base_of(devices) for name, devices in self.sides.items()}
        # Who trains, or has an update on its way.
        trains = {name for name, d in self.sides.items() if d.complete[0] or d.pending[0]}
        buffer = [int(update.version[0]) for update in self.buffer]
        position = 0
        for slot in np.flatnonzero(plan).tolist():
            while position < len(contacts) and contacts[position][0] <= slot:
                name = contacts[position][1]
                position += 1
                if name in trains:
                    buffer.append(base[name])
                    trains.remove(name)
                if base[name] < version:
                    base[name] = version
                    trains.add(name)
            if buffer:
                staleness = version - np.array(buffer)
                total += float(self.utility(staleness, 1.0 / self.options.divisor(staleness)))
                version = version + 1
                buffer = []
        if not math.isfinite(total):
            name = self.options.utility
            raise ValueError(f"utility {name!r} says {total}; it must return a finite number")
        return total


def base_of(devices: ClusterState) -> int:
    """Return the version that a satellite has downloaded last; -1 for none."""
    return -1 if devices.state is None else int(devices.version[0])
